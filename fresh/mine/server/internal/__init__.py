"""The session server's inner parts, made by voicecore; README.md says what is whose."""

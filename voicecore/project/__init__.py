"""The project on disk: voicecore.toml, its .env files, and the AWS names derived from it."""

"""The project on disk: voicecore.toml, .env files, code, and the AWS names derived from them."""

"""The project on disk: voicecore.toml, .env files and the names derived from them."""

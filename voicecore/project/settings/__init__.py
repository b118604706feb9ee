"""Settings of voicecore.toml, by who decides them."""

"""The agent's linux/arm64 image: build plan, builders, checks and push."""

"""The agent's linux/arm64 image: how it is described, built, looked at, checked and pushed."""

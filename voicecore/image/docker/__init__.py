"""The Docker engine: finding it, pushing with it, running containers."""

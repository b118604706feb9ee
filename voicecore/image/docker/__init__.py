"""The Docker engine: finds it, pushes with it, runs containers."""

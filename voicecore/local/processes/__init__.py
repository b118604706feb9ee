"""Child processes of the local runtime and what they need: ports, environments, state."""

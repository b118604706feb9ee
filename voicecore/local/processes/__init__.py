"""Child processes of the local runtime and their ports, environments and state file."""

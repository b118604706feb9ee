"""Sessions of the local runtime: agent processes, lifecycle, logs."""

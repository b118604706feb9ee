"""The parts of a stage: agent and session server, each read, planned, applied and verified."""

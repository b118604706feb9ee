"""The contract between agents, session server and CLI: log events, latency stages, invites."""

"""The formats that agents, session server and CLI share: log events, latency stages, invites."""

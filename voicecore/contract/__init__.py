"""The formats that agents, session server and CLI share: log events, stages, invites, /ping."""

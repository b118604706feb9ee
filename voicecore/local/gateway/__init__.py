"""AgentCore's data plane over HTTP: requests, signatures, limits, WebSocket proxy."""

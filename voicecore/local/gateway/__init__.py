"""The local gateway: AgentCore's data plane over HTTP, with its signatures and limits."""

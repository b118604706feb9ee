"""The local AgentCore Runtime: AgentCore's data plane on this machine."""

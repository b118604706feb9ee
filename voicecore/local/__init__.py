"""The local AgentCore Runtime: what `voicecore dev` runs."""

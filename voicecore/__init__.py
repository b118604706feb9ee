"""voicecore: from nothing to a voice agent that answers calls, on Amazon Bedrock AgentCore."""

__version__ = "0.1.0"

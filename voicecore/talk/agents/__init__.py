"""Agents that `voicecore talk` reaches without a session server of ours, and what they are."""

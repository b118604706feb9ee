"""Calls from this terminal: `voicecore talk` as a client, and as a telephone."""

"""Protocols in which `voicecore talk` speaks over a WebSocket: one class each."""

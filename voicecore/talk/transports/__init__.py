"""Connections from `voicecore talk` to an agent: WebSocket, WebRTC, Daily."""

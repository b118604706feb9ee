"""WebRTC connectivity: TURN relays and Opus over RTP."""

"""WebRTC below the transport: relays and audio packets. Generated agents get copies of it."""

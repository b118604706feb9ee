"""What a call shows: transcript, latency, screen, JSON events."""

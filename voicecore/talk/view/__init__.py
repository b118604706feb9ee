"""The view of a call: transcript, latency, screen, JSON events."""

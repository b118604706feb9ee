"""What a call shows: transcript, latency, screen."""

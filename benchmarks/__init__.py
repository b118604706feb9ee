"""What voicecore's speed is, as ratios against a peer or a physical limit, in one run."""

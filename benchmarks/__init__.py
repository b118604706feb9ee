"""Measurements of voicecore's speed, as ratios to a peer or a physical limit, in one run."""

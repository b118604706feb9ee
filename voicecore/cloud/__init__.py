"""The agent in AWS: its stacks, how they are brought up, watched and taken away."""

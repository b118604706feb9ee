"""The commands: each checks its options, asks for missing values, runs, and names the next step."""

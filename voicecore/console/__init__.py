"""The terminal: output, errors, and the context a command runs in."""

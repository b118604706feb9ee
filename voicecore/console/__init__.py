"""The terminal: output, errors, confirmation, and the context that a command runs in."""

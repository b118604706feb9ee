"""Takes over an agent that its owner has: what it is, and what it lacks.

Files are read once, into values; everything after that is decided from these. No code of the user's
is imported or run.
"""

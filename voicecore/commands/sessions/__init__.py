"""The commands about the sessions of a stage."""

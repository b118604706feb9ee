"""The options of the commands about the sessions of a stage."""

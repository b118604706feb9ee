"""The options of the commands about the versions of a stage."""

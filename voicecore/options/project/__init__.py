"""The options of the commands that create and change the files of a project."""

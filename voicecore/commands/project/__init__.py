"""The commands that create and change the files of a project."""

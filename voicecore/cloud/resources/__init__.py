"""The AWS resources of a project, read and changed one service at a time."""

"""From answers to a project: the questions, and the rendering."""

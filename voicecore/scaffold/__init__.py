"""The questions of `voicecore init`, and the rendering of a project."""

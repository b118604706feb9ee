"""Fixtures: the stand-in of CodeBuild, and the inputs of a build in it."""

from tests.image.codebuilds import aws, inputs, running, service

__all__ = ["aws", "inputs", "running", "service"]

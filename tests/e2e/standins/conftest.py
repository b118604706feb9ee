"""Fixtures of the stand-ins of AWS and of images."""

from tests.e2e.standins.aws_calls import aws, stacks
from tests.standins.image.fixtures import all_registries, daemon, emulation, registries

__all__ = ["all_registries", "aws", "daemon", "emulation", "registries", "stacks"]

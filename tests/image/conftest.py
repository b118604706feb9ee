"""Fixtures of the tests that build, push and run images with real tools."""

from tests.image.codebuilds import aws, calls, inputs, running, service
from tests.standins.image.fixtures import all_registries, daemon, emulation, registries

__all__ = [
    "all_registries",
    "aws",
    "calls",
    "daemon",
    "emulation",
    "inputs",
    "registries",
    "running",
    "service",
]

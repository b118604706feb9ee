"""Fixtures of the tests that build, push and run images with real tools."""

from tests.standins.image.fixtures import all_registries, daemon, emulation, registries

__all__ = ["all_registries", "daemon", "emulation", "registries"]

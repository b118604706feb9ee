"""Fixtures of the image stand-ins."""

from tests.standins.image.fixtures import all_registries, daemon, emulation, registries

__all__ = ["all_registries", "daemon", "emulation", "registries"]

"""The lab of images, for the tests that build, push and run with real parts."""

from tests.standins.image.fixtures import all_registries, emulation, engine, lab

__all__ = ["all_registries", "emulation", "engine", "lab"]

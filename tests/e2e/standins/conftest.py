"""The registries and the engine that the image stand-ins run on."""

from tests.standins.image.fixtures import all_registries, emulation, engine, lab

__all__ = ["all_registries", "emulation", "engine", "lab"]

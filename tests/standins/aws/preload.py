"""Loads what is slow to load before it is asked for."""

from __future__ import annotations

from tests.standins.aws.world import World


def preload(world: World) -> None:
    """Loads moto's EC2, which takes a second or two at its first request, in a thread."""

    def work() -> None:
        from moto.backends import get_backend

        get_backend("ec2")

    world.start(work, "preload")

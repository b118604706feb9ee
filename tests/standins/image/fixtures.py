"""What the tests of images share: one set of registries and one engine for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standins.image.emulation import arm64
from tests.standins.image.engine import Engine, dockerd
from tests.standins.image.lab import Registries, registries


@pytest.fixture(scope="session")
def all_registries() -> Iterator[Registries]:
    with registries() as lab:
        yield lab


@pytest.fixture
def lab(all_registries: Registries) -> Registries:
    """The registries, with ECR as it is on its first day: nothing denied, broken, or noted."""
    ecr, gate = all_registries.ecr, all_registries.gate
    ecr.repositories = {"agent"}
    ecr.denied.clear()
    ecr.lifetimes.clear()
    ecr.mounts = ecr.immutable = False
    gate.faults.clear()
    gate.journal.clear()
    return all_registries


@pytest.fixture(scope="session")
def engine(all_registries: Registries) -> Iterator[Engine]:
    with dockerd(all_registries.reach) as running:
        yield running


@pytest.fixture(scope="session")
def emulation() -> Iterator[None]:
    with arm64():
        yield

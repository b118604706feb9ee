"""Fixtures of the image tests: one set of registries and one Docker daemon for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.emulation import arm64_emulation
from tests.standins.image.registries import Registries, run_registries


@pytest.fixture(scope="session")
def all_registries() -> Iterator[Registries]:
    with run_registries() as registries:
        yield registries


@pytest.fixture
def registries(all_registries: Registries) -> Registries:
    """Registries without faults, denials or logged requests of earlier tests."""
    ecr, proxy = all_registries.ecr, all_registries.proxy
    ecr.repositories = {"agent"}
    ecr.denied.clear()
    ecr.lifetimes.clear()
    ecr.mounts = ecr.immutable = False
    proxy.faults.clear()
    proxy.log.clear()
    return all_registries


@pytest.fixture(scope="session")
def daemon(all_registries: Registries) -> Iterator[DockerDaemon]:
    with dockerd(all_registries.reach) as running:
        yield running


@pytest.fixture(scope="session")
def emulation() -> Iterator[None]:
    with arm64_emulation():
        yield

"""Fixtures: the generated session server, and a stand-in for AgentCore that can fail."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.phone_systems import files as files
from tests.server.serving import UNLIMITED, RunningServer, make_server, serving
from tests.standins.server.agentcore import AgentCore, agentcore
from voicecore.catalog.transports import TRANSPORTS

# The Daily stand-in that each generated project contains.
sys.path.append(str(TRANSPORTS["daily"].template / "agent" / "internal" / "tests"))
daily_cloud = importlib.import_module("daily_cloud").daily_cloud


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_server(tmp_path_factory.mktemp("server"))


@pytest.fixture
def aws() -> Iterator[AgentCore]:
    with agentcore() as aws:
        yield aws


@pytest.fixture
def server(folder: Path, aws: AgentCore, tmp_path: Path) -> Iterator[RunningServer]:
    """A server without limits on callers."""
    with serving(folder, tmp_path / "log", aws.url, **UNLIMITED) as server:
        yield server


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without limits, for tests that do not change it."""
    log = tmp_path_factory.mktemp("shared") / "log"
    with (
        agentcore() as aws,
        daily_cloud() as daily,
        serving(folder, log, aws.url, **UNLIMITED, **daily.variables) as server,
    ):
        yield server

"""The generated server, made once, before an AgentCore with moods."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import MANY, Server, make_server, serving
from tests.standins.server.agentcore import AgentCore, agentcore
from voicecore.catalog.transports import TRANSPORTS

# The stand-in of Daily that each project brings along.
sys.path.append(str(TRANSPORTS["daily"].template / "agent" / "internal" / "tests"))
daily_cloud = importlib.import_module("daily_cloud").daily_cloud


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_server(tmp_path_factory.mktemp("server"))


@pytest.fixture
def aws() -> Iterator[AgentCore]:
    with agentcore() as door:
        yield door


@pytest.fixture
def server(folder: Path, aws: AgentCore, tmp_path: Path) -> Iterator[Server]:
    """One without limits on callers."""
    with serving(folder, tmp_path / "log", aws.url, **MANY) as server:
        yield server


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same, for tests that leave it as it was."""
    log = tmp_path_factory.mktemp("shared") / "log"
    with (
        agentcore() as door,
        daily_cloud() as daily,
        serving(folder, log, door.url, **MANY, **daily.variables) as server,
    ):
        yield server

"""The agent that tests speak to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .running_agent import RunningAgent, running


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent that runs for all tests that need no other, because its start takes seconds."""
    with running(tmp_path_factory.mktemp("agent") / "log") as agent:
        yield agent

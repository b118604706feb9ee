"""The agent that tests speak to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .running_agent import RunningAgent, running


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent that runs for all tests of the module."""
    with running(tmp_path_factory.mktemp("agent") / "log") as agent:
        yield agent

"""Generated agents by pipeline; each is created once, when a test first needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.generated.models.agent import Agent, make_agent


class Agents(dict[str, Agent]):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, pipeline: str) -> Agent:
        self[pipeline] = make_agent(self._folder / pipeline, pipeline)
        return self[pipeline]


@pytest.fixture(scope="session")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Agent]:
    return Agents(tmp_path_factory.mktemp("agents"))

"""The generated agents, made once."""

from __future__ import annotations

import pytest

from tests.generated.models.agent import Agent, make_agent


@pytest.fixture(scope="session")
def nova_sonic(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return make_agent(tmp_path_factory.mktemp("nova-sonic"), "nova-sonic")


@pytest.fixture(scope="session")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    return make_agent(tmp_path_factory.mktemp("cascade"), "cascade")

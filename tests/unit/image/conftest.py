"""An agent with two packages, ready to be built without Docker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.standins.image.in_process_registry import FakeRegistry
from tests.unit.image.sample_project import PYTHON, make_agent, make_base, make_wheel
from tests.unit.image.workspace import FILES, STAGE, Workspace
from voicecore.image.builders.copy_layers import DirectInputs


@pytest.fixture(scope="module")
def agent_with_two_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    return make_agent(folder, make_wheel(folder, "one"), make_wheel(folder, "two"))


@pytest.fixture
def workspace(agent_with_two_packages: Path, tmp_path: Path) -> Workspace:
    agent = shutil.copytree(agent_with_two_packages, tmp_path / "agent")
    registry = FakeRegistry()
    inputs = DirectInputs(
        agent=agent,
        files=FILES,
        base=make_base(registry, "python"),
        stage=STAGE,
        labels={"io.voicecore.version": "1"},
        tag="tag",
        packages_key="key",
        stdlib_key="library",
        python=PYTHON,
    )
    return Workspace(inputs, registry, tmp_path / "cache" / "store", [])

"""The environment that an agent runs in on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.local.environments import TRACES_FOLDER, agent_spec
from voicecore.local.processes.venv import python_of, sync, writes_traces
from voicecore.project.no_links import LinkRefused
from voicecore.project.project import load_project
from voicecore.project.settings.programs import AgentSettings, generated_program


def test_member_of_workspace_has_its_own_environment(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["agent"]\n')
    (agent / "pyproject.toml").write_text(
        '[project]\nname = "an-agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        "[tool.uv]\npackage = false\n"
    )
    sync([agent], {**os.environ, "UV_OFFLINE": "1"})
    assert python_of(agent).exists()


@pytest.mark.parametrize(
    ("groups", "expected"),
    [("traces = []", True), ("dev = []", False), ("[", False), ("7", False)],
)
def test_packages_for_traces_are_a_group_of_the_agent(
    tmp_path: Path, groups: str, expected: bool
) -> None:
    program = generated_program(tmp_path, AgentSettings())
    assert not writes_traces(program)  # there is no file
    (tmp_path / "pyproject.toml").write_text(f"[dependency-groups]\n{groups}\n")
    assert writes_traces(program) == expected


def test_agent_writes_traces_into_the_project_and_through_no_link(
    voicecore: Voicecore, tmp_path: Path
) -> None:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    project = load_project(tmp_path / "line")
    traces = project.root / ".voicecore/traces"
    assert agent_spec(project, {}).env[TRACES_FOLDER] == str(traces)
    traces.parent.mkdir(exist_ok=True)
    traces.symlink_to(tmp_path)
    with pytest.raises(LinkRefused):
        agent_spec(project, {})

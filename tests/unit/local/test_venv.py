"""The environment that an agent runs in on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from voicecore.local.processes.venv import python_of, sync


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

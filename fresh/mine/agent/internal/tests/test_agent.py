"""The agent fulfills AgentCore's contract, with any pipeline."""

from __future__ import annotations

import shutil
from pathlib import Path

from .running_agent import AGENT, RunningAgent, start


def test_ping_reports_since_when_the_agent_is_idle(agent: RunningAgent) -> None:
    first = agent.ping()
    assert first["status"] == "Healthy"
    assert isinstance(first["time_of_last_update"], int)
    assert agent.ping() == first


def test_broken_bot_ends_the_agent_with_its_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    shutil.copytree(AGENT, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    (folder / "bot.py").write_text("import a_package_that_does_not_exist\n", "utf-8")
    agent = start(folder, tmp_path / "log", {})
    _, stderr = agent.process.communicate(timeout=60)
    assert agent.process.returncode == 1
    assert stderr.decode().rstrip().endswith("No module named 'a_package_that_does_not_exist'")

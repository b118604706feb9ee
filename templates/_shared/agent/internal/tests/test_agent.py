"""The agent fulfills AgentCore's contract, with any pipeline."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from bedrock_agentcore import RequestContext

from .. import session
from ..app import Agent
from .running_agent import AGENT, RunningAgent, start


def test_ping_reports_since_when_the_agent_is_idle(agent: RunningAgent) -> None:
    first = agent.ping()
    assert first["status"] == "Healthy"
    assert isinstance(first["time_of_last_update"], int)
    assert agent.ping() == first


def test_data_of_the_client_is_the_bots() -> None:
    agent = Agent()
    context = RequestContext(session_id=None, request_headers=None, request=None)
    for sent in ({"customer": "C-1042"}, {"order": [1]}):
        request = {"type": "data", "data": sent}
        assert asyncio.run(agent.invoke(request, context)) == {"status": "ok"}
        assert session.data == sent


def test_broken_bot_ends_the_agent_with_its_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    shutil.copytree(AGENT, folder, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    (folder / "bot.py").write_text("import a_package_that_does_not_exist\n", "utf-8")
    agent = start(folder, tmp_path / "log", {})
    _, stderr = agent.process.communicate(timeout=60)
    assert agent.process.returncode == 1
    assert stderr.decode().rstrip().endswith("No module named 'a_package_that_does_not_exist'")

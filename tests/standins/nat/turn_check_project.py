"""Owns a project whose agent can only check TURN, and that check behind the agent's NAT."""

from __future__ import annotations

import os
from pathlib import Path

from tests.generated.projects import Kind, rendered
from tests.standins.dev import pyproject
from tests.standins.nat.lab import NatLab
from voicecore.commands.turn_check import MODULE, RelayAttempt, parse_attempts
from voicecore.local.processes import venv


def make_agent(root: Path) -> Path:
    """Create a project whose agent has only the TURN check."""
    (root / "agent").mkdir(parents=True)
    (root / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["webrtc"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    for name, content in rendered(Kind("webrtc", "offline")).items():
        if name.startswith("agent/internal/"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    (root / "agent/pyproject.toml").write_text(pyproject("tiny-agent", "aiortc", "boto3"))
    venv.sync([root / "agent"], os.environ)
    return root


def check_turn(
    net: NatLab, project: Path, variables: dict[str, str], *sources: str
) -> list[RelayAttempt]:
    """Run the script of `voicecore turn check` there, and return its results."""
    program = [str(venv.python_of(project / "agent")), "-m", MODULE]
    env = {**net.agent.env(**variables), "PYTHONPATH": str(project / "agent")}
    done = net.agent.run(*program, *sources, env=env)
    assert done.returncode == 0, done.stderr
    return parse_attempts(done.stdout.splitlines())

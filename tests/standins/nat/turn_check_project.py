"""Owns a project whose agent can only check TURN, and that check behind the agent's NAT."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cli.test_dev import pyproject
from tests.standins.nat.lab import NatLab
from voicecore.commands.turn_check import SCRIPT, RelayAttempt, parse_attempts
from voicecore.local.processes import venv

_TEMPLATE = Path(__file__).parents[3] / "voicecore/catalog/transports/webrtc/template"
_FILES = ("agent/relay.py", "agent/no_relay.py", f"agent/{SCRIPT}", "both/ice.py")


def make_agent(root: Path) -> Path:
    """Create a project whose agent has only the TURN check."""
    (root / "agent").mkdir(parents=True)
    (root / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["webrtc"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    for file in _FILES:
        shutil.copy(_TEMPLATE / file, root / "agent")
    (root / "agent/pyproject.toml").write_text(pyproject("tiny-agent", "aiortc", "boto3"))
    venv.sync([root / "agent"], os.environ)
    return root


def check_turn(
    net: NatLab, project: Path, variables: dict[str, str], *sources: str
) -> list[RelayAttempt]:
    """Run the script of `voicecore turn check` there, and return its results."""
    program = [str(venv.python_of(project / "agent")), str(project / "agent" / SCRIPT)]
    done = net.agent.run(*program, *sources, env=net.agent.env(**variables))
    assert done.returncode == 0, done.stderr
    return parse_attempts(done.stdout.splitlines())

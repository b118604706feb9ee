"""`voicecore turn check` reports what the agent's script finds; here its results are fixed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Result, Voicecore
from tests.standins.dev import pyproject
from voicecore.console.errors import ExitCode

URL = "turn:turn.example.com:3478?transport="
TCP = {"source": "coturn", "url": f"{URL}tcp", "relay": "192.0.2.9:50000", "seconds": 0.012}
UDP = {"source": "coturn", "url": f"{URL}udp", "kind": "timeout", "reason": "no answer"}
STUN = {"source": "coturn", "url": "stun:turn.example.com", "unused": "STUN gives no relay"}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose agent has only the check; its environment is created once."""
    root = tmp_path_factory.mktemp("turn")
    (root / "agent/internal").mkdir(parents=True)
    (root / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["webrtc"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    (root / "agent/pyproject.toml").write_text(pyproject("tiny-agent"))
    return root


def check(voicecore: Voicecore, root: Path, script: str, *arguments: str, env: str = "") -> Result:
    # Bytecode is taken for a script's if size and second of both are equal, as in these tests.
    (root / "agent/internal/turn_check.py").write_text(script)
    (root / "agent/.env").write_text(env)
    return voicecore(
        "turn", "check", *arguments, cwd=root, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )


def found(*attempts: Mapping[str, object]) -> str:
    """Return a script that finds these, with a line of a library before them."""
    rows = ["a library's line", *map(json.dumps, attempts)]
    return f"print({chr(10).join(rows)!r})\n"


def test_relays_are_shown_with_advice_about_udp(voicecore: Voicecore, agent: Path) -> None:
    lasting = {**TCP, "expires": int(time.time()) + 3600}
    result = check(voicecore, agent, found(UDP, lasting, STUN))
    assert result.code == ExitCode.OK, result.stderr
    first, timeout, relay, unused = result.stdout.splitlines()
    assert first.endswith("(coturn)")
    assert timeout.endswith("no answer") and timeout.startswith("  ✗ ")
    assert "192.0.2.9:50000 in 12 ms, until " in relay and relay.endswith(" s)")
    assert unused.endswith("not used: STUN gives no relay")
    assert "turn.example.com answers over TCP but not over UDP" in result.stderr


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("timeout", "No answer over UDP or TCP"),
        ("dns", "Check the host name"),
        ("tls", "export SSL_CERT_FILE="),
        ("credentials", "COTURN_SECRET"),
    ],
)
def test_source_without_relay_fails_and_says_what_to_do(
    voicecore: Voicecore, agent: Path, kind: str, advice: str
) -> None:
    result = check(voicecore, agent, found({**UDP, "kind": kind}))
    assert result.code == ExitCode.FAILED
    assert "No relay from coturn." in result.stderr
    assert advice in result.stderr


def test_document_has_every_attempt(voicecore: Voicecore, agent: Path) -> None:
    env = f"TURN_SOURCE=coturn\nCOTURN_URLS={URL}udp\nCOTURN_SECRET=short\n"
    result = check(voicecore, agent, found(TCP), "--source", "coturn", "--json", env=env)
    assert result.code == ExitCode.OK
    assert result.json["ways"] == [TCP]
    assert result.json["without_relay"] == []
    failed = check(voicecore, agent, found(UDP), "--json")
    assert (failed.code, failed.json["without_relay"]) == (ExitCode.FAILED, ["coturn"])


def test_mistakes_are_named_before_anything_is_checked(voicecore: Voicecore, agent: Path) -> None:
    unknown = check(voicecore, agent, found(), "--source", "pigeon")
    assert (unknown.code, "Unknown TURN source 'pigeon'" in unknown.stderr) == (2, True)
    none = check(voicecore, agent, found())
    assert none.code == ExitCode.FAILED
    assert "No TURN source is set in agent/.env." in none.stderr
    broken = check(voicecore, agent, "raise SystemExit('no module aiortc')")
    assert broken.code == ExitCode.FAILED
    assert "turn_check.py failed:\nno module aiortc" in broken.stderr
    assert "To run it yourself, in agent/:" in broken.stderr


def test_agent_without_turn_is_told_how_to_add_it(voicecore: Voicecore, agent: Path) -> None:
    (agent / "agent/internal/turn_check.py").unlink(missing_ok=True)
    result = voicecore("turn", "check", cwd=agent)
    assert result.code == ExitCode.BAD_PROJECT
    assert "voicecore add webrtc" in result.stderr

"""A call through a proxy that inspects TLS, as in a company's network."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.talk.test_terminal_talk import ENV
from tests.standins.background import in_background
from tests.standins.inspecting_proxy import inspecting_proxy
from tests.standins.talk.session_server import AgentStandIn
from voicecore.console.errors import ExitCode


def test_requests_and_audio_go_through_the_proxy(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "voicecore", "talk", "--text", "--url", "https://calls.example"]
    with (
        in_background(AgentStandIn(reply_ms=100, public="wss://agent.example")) as agent,
        inspecting_proxy(
            tmp_path, {"calls.example": agent.url, "agent.example": agent.url}
        ) as proxy,
    ):
        env = {**os.environ, **ENV, **proxy.environment("AWS_CA_BUNDLE")}
        result = subprocess.run(
            argv, input="hello\n", cwd=tmp_path, env={k: v for k, v in env.items() if v},
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert result.returncode == ExitCode.OK, result.stderr
    assert "agent    You typed: hello" in result.stderr
    assert {"calls.example", "agent.example"} <= set(proxy.hosts)

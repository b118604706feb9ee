"""A generated agent under `voicecore dev` answers its gateway and no other program."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conversation.conftest import dev, speak, talk
from tests.processes import processes_in
from tests.standins.dev import runtime_status
from voicecore.local.processes.dev_state import read_state

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds the agent's port in /proc"
)


def environment_of(agent: Path) -> tuple[int, dict[str, str]]:
    """Return the process ID of the running agent and its environment, which only we can read."""
    pids = [int(line.split()[0]) for line in processes_in(agent) if "internal.app" in line]
    text = Path(f"/proc/{pids[0]}/environ").read_text()
    return pids[0], dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


async def status_of(method: str, url: str, **headers: str) -> int:
    """Return the status that answers a request or a WebSocket handshake."""
    async with aiohttp.ClientSession() as http:
        if not url.startswith("ws"):
            async with http.request(method, url, headers=headers) as answer:
                return answer.status
        try:
            async with http.ws_connect(url, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


def test_agent_answers_only_its_gateway(project: Path) -> None:
    # On v2, the warm agent is frozen; tests/generated/test_snapshot.py asks its sessions.
    with dev(project, "--platform", "v1"):
        assert runtime_status(project)["spare"]["warning"] is None
        pid, env = environment_of(project / "agent")
        at = f"//127.0.0.1:{env['PORT']}"
        page = {"Origin": "https://page.example"}
        key = {"X-Local-Runtime-Key": env.get("LOCAL_RUNTIME_KEY", "")}
        wrong = {"X-Local-Runtime-Key": "x" * len(key["X-Local-Runtime-Key"])}

        async def statuses(**headers: str) -> list[int]:
            return [
                await status_of("GET", f"http:{at}/ping", **headers),
                await status_of("POST", f"http:{at}/invocations", **headers),
                await status_of("GET", f"http:{at}/no-such-path", **headers),
                await status_of("GET", f"ws:{at}/ws", **headers),
            ]

        for headers in ({}, page, wrong, key | page):
            assert asyncio.run(statuses(**headers)) == [403] * 4, headers
        assert asyncio.run(status_of("GET", f"http:{at}/ping", **key)) == 200

        listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
        ours = [line.split()[3] for line in listening.splitlines() if f"pid={pid}," in line]
        assert ours == [f"127.0.0.1:{env['PORT']}"]

        call = talk(project, *speak("what-time-is-it"))
        assert any(re.search("It is", text) for text in call.said("agent_said")), call.stderr


def test_each_agent_has_its_own_key(project: Path) -> None:
    with dev(project):
        _, first = environment_of(project / "agent")
    with dev(project):
        _, second = environment_of(project / "agent")
    assert first["LOCAL_RUNTIME_KEY"] != second["LOCAL_RUNTIME_KEY"]


def test_session_server_of_dev_refuses_pages_of_others(project: Path) -> None:
    with dev(project):
        running = read_state(project / ".voicecore")
        assert running
        port = running.server.rpartition(":")[2]

        async def health(**headers: str) -> int:
            return await status_of("GET", f"{running.server}/health", **headers)

        assert asyncio.run(health()) == 200
        assert asyncio.run(health(Host=f"localhost:{port}")) == 200
        assert asyncio.run(health(Host="attacker.example")) == 403
        assert asyncio.run(health(Origin="https://attacker.example")) == 403
        assert asyncio.run(health(**{"Sec-Fetch-Site": "cross-site"})) == 403

"""`voicecore talk` against a server that attacks it: one line at most, and no traceback."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.standins.talk.hostile_server import HostileServer, message
from tests.standins.talk.session_server import rtvi
from tests.unit.test_output import HOSTILE, unsafe
from voicecore.console.errors import ExitCode

pytestmark = pytest.mark.slow


async def started(
    server: HostileServer, folder: Path, *arguments: str
) -> asyncio.subprocess.Process:
    argv = [sys.executable, "-m", "voicecore", "talk", "--text", "--url", server.url, *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
    return await asyncio.create_subprocess_exec(
        *argv, cwd=folder, env={**os.environ, "SESSION_API_KEY": "key"}, **pipes
    )


async def talk(
    server: HostileServer, folder: Path, *arguments: str, lines: bytes = b""
) -> tuple[int, str, str]:
    """Run `voicecore talk --text` to its end; return exit code, stdout and stderr."""
    process = await started(server, folder, *arguments)
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate(lines)
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


def said(kind: str, **data: Any) -> bytes:
    return message(json.dumps(rtvi(kind, data)))


TALKATIVE = (
    said("user-transcription", text=HOSTILE, final=True),
    said("user-stopped-speaking"),
    said("server-message", type="tool_call", name=HOSTILE, ms=3),
    said("error", error=HOSTILE),
    said("bot-output", text=HOSTILE),
)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_transcript_and_errors_are_shown_as_text(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    async def test() -> None:
        reason = "\x1b]0;owned\x07\u202e the end".encode()
        async with HostileServer(messages=TALKATIVE, close=(1000, reason)) as server:
            code, stdout, stderr = await talk(server, tmp_path, *arguments, lines=b"hello\n")
        assert code == ExitCode.FAILED  # the agent hung up before it answered
        assert "Traceback" not in stderr
        assert (stdout + stderr).count("owned") >= 4
        assert unsafe(stdout + stderr) == []
        for line in stdout.splitlines():
            json.loads(line)

    asyncio.run(test())


def test_ctrl_c_ends_a_flooded_call(tmp_path: Path) -> None:
    async def test() -> None:
        async with HostileServer(flood=TALKATIVE) as server:
            process = await started(server, tmp_path, "--json")
            assert process.stdout
            async with asyncio.timeout(60):
                while b"agent_said" not in await process.stdout.readline():
                    pass
                process.send_signal(signal.SIGINT)
                await process.communicate()
            assert process.returncode == ExitCode.INTERRUPTED

    asyncio.run(test())


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_refusal_of_the_server_is_shown_as_text(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    async def test() -> None:
        refusal = json.dumps({"error": {"code": "x", "message": HOSTILE}}).encode()
        async with HostileServer(status=503, start=refusal) as server:
            code, stdout, stderr = await talk(server, tmp_path, *arguments)
        assert code == ExitCode.FAILED
        assert "owned" in stdout + stderr
        assert unsafe(stdout + stderr) == []

    asyncio.run(test())

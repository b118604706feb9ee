"""The session server of `voicecore dev` has the limits of a deployed one."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.ports import free_port
from tests.server.serving import ARN, KEY
from voicecore.local.processes.child import Reaper
from voicecore.local.processes.session_server import ServerCrashed, SessionServerProcess
from voicecore.project.settings.programs import Program, ServerProgram, generated_program

ENVIRONMENT = {
    **os.environ,
    "SESSION_API_KEY": KEY,
    "AGENT_RUNTIME_ARN": ARN,
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "REQUESTS_PER_MINUTE": "10",
    "HOST": "0.0.0.0",  # from server/.env; dev is for this machine alone
}


def test_forged_forwarded_address_and_long_head_are_refused(folder: Path) -> None:
    async def work() -> None:
        async with (
            Reaper() as reaper,
            SessionServerProcess(
                generated_program(folder, ServerProgram()),
                ENVIRONMENT,
                free_port(),
                reaper,
                folder.parent / "server.log",
                print,
            ) as server,
            aiohttp.ClientSession(server.url) as client,
        ):
            reader, writer = await asyncio.open_connection(
                urlsplit(server.url).hostname, urlsplit(server.url).port
            )
            writer.write(b"GET /config HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
            writer.close()
            statuses: list[int] = []
            for number in range(25):
                forged = {"X-Forwarded-For": f"192.0.2.{number}"}
                async with client.post("/start", headers=forged) as answer:
                    statuses.append(answer.status)
                    await answer.read()  # the next request uses the same connection
            assert 429 in statuses

    asyncio.run(work())


def test_server_that_cannot_listen_says_why(folder: Path) -> None:
    async def work() -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as taken:
            threading.Thread(target=taken.serve_forever, args=(0.02,), daemon=True).start()
            async with Reaper() as reaper:
                server = SessionServerProcess(
                    generated_program(folder, ServerProgram()),
                    ENVIRONMENT,
                    taken.server_port,
                    reaper,
                    folder.parent / "server.log",
                    print,
                )
                with pytest.raises(ServerCrashed, match=r"ended: [^{]*address already in use"):
                    async with server:
                        pass
            taken.shutdown()

    asyncio.run(work())


def test_server_of_another_kind_is_ready_when_it_answers_at_all(tmp_path: Path) -> None:
    """It has no path that tells its health, and no packages of Python's."""
    command = ("sh", "-c", f'exec {sys.executable} -m http.server --bind "$HOST" "$PORT"')
    (tmp_path / ".voicecore/logs").mkdir(parents=True)
    log, lines = tmp_path / ".voicecore/logs/server.log", list[str]()
    program = Program(tmp_path, command, None, tmp_path / ".voicecore/venv/server", health="")

    async def start() -> None:
        given = (program, dict(os.environ), free_port())
        async with (
            Reaper() as reaper,
            SessionServerProcess(*given, reaper, log, lines.extend) as server,
            aiohttp.ClientSession(server.url) as client,
            client.get("/voicecore.toml") as answer,
        ):
            assert answer.status == 404

    asyncio.run(start())
    assert "code 404" in log.read_text()

"""A bot that blocks the event loop is named; /ping is answered meanwhile, the rest afterwards."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .. import gateway_only, own_code
from ..app import Agent

TOOL = "import time\n\ndef order_status() -> None:\n    time.sleep(1.8)\n"


class Server(asyncio.Protocol):
    """Answers with the request that it gets."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"answered: " + data)
        self._transport.close()


def bot_function(path: Path) -> Any:
    """Return a function whose code is at this path."""
    code = compile(TOOL, str(path), "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    return names["order_status"]


def ask(port: int, request: str) -> bytes:
    """Return the answer to a request that is sent while the loop is blocked."""
    time.sleep(1.2)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        client.sendall(request.encode())
        return client.makefile("rb").read()


def while_blocked(*requests: str) -> list[bytes]:
    """Block the loop of an agent; return its answers, and leave it running."""

    async def block() -> list[bytes]:
        agent = Agent()
        agent.loop = asyncio.get_running_loop()
        with (
            socket.create_server(("127.0.0.1", 0)) as agent.listening,
            ThreadPoolExecutor() as threads,
        ):
            agent.listening.setblocking(False)
            agent.protocol = Server
            agent.watch()
            port = agent.listening.getsockname()[1]
            asked = [threads.submit(ask, port, request) for request in requests]
            bot_function(own_code.BOT / "bot.py")()
            await asyncio.sleep(0.5)
            return [answer.result() for answer in asked]

    return asyncio.run(block())


def test_blocked_agent_answers_ping_and_names_the_function(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(gateway_only.VARIABLE, "secret")
    key = "\r\nX-Local-Runtime-Key: {}\r\n\r\n"
    ping, other, stranger = while_blocked(
        "GET /ping HTTP/1.1" + key.format("secret"),
        "POST /invocations HTTP/1.1" + key.format("secret"),
        "GET /ping HTTP/1.1" + key.format("guess"),
    )
    head, _, body = ping.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and json.loads(body)["status"] == "Healthy"
    assert other.startswith(b"answered: POST /invocations HTTP/1.1")
    assert stranger.startswith(b"HTTP/1.1 403 ")
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["name"]) == ("blocked", "order_status")
    assert 1.5 < line["seconds"] < 4

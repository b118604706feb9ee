"""`voicecore call`: nobody is called whom nobody agreed to call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode

NUMBER = "+12025550123"


@dataclass
class Placer:
    """A session server that places calls, as it was told to."""

    states: list[str]
    refusal: int = 0
    url: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        if self.refusal or request.headers["Authorization"] != "Bearer key":
            error = {"code": "provider_refused", "message": "The provider refused: HTTP 401."}
            return web.json_response({"error": error}, status=self.refusal or 401)
        if request.method == "POST":
            return web.json_response({"callId": "v3:a", "provider": "telnyx", "sessionId": "s"})
        state = self.states.pop(0)
        return web.json_response({"callId": "v3:a", "provider": "telnyx", "status": state})


@contextmanager
def placing(placer: Placer) -> Iterator[Placer]:
    loop, up, down = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/phone/{path:.*}", placer.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        placer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        up.set()
        await down.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield placer
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()


def test_a_call_is_followed_to_its_end(voicecore: Voicecore) -> None:
    with placing(Placer(["ringing", "completed"])) as placer:
        key = {"SESSION_API_KEY": "key"}
        done = voicecore("call", NUMBER, "--yes", "--url", placer.url, env=key)
        assert done.code == ExitCode.OK, done.stderr
        assert "Telnyx calls +12025550123: v3:a" in done.stderr and "• ringing" in done.stderr
    assert placer.asked[0] == ("POST", "/phone/calls", {"to": NUMBER})
    assert placer.asked[1][:2] == ("GET", "/phone/calls/v3%3Aa?provider=telnyx")


def test_what_is_refused_says_where_to_look(voicecore: Voicecore) -> None:
    with placing(Placer([], refusal=502)) as placer:
        key = {"SESSION_API_KEY": "key"}
        done = voicecore("call", NUMBER, "--yes", "--url", placer.url, env=key)
    assert done.code == ExitCode.FAILED
    assert "HTTP 401" in done.stderr and "server/.env" in done.stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), f"voicecore call {NUMBER} --yes"),
        (("--provider", "pigeon"), "Provider 'pigeon' is not available"),
    ],
)
def test_nobody_is_called_unless_agreed(
    voicecore: Voicecore, flags: tuple[str, ...], told: str
) -> None:
    done = voicecore("call", NUMBER, "--url", "http://127.0.0.1:9", *flags)
    assert done.code == ExitCode.USAGE
    assert told in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        ("12", ExitCode.USAGE, "'12' is not a telephone number"),
        (NUMBER, ExitCode.FAILED, "No server answers at 127.0.0.1, port 9"),
    ],
)
def test_a_call_that_cannot_be_placed_says_why(
    voicecore: Voicecore, number: str, code: ExitCode, told: str
) -> None:
    key = {"SESSION_API_KEY": "key"}
    done = voicecore("call", number, "--yes", "--url", "http://127.0.0.1:9", env=key)
    assert done.code == code and told in done.stderr


def test_a_project_without_a_telephone_says_how_to_get_one(voicecore: Voicecore) -> None:
    voicecore("init", "mine", "--yes")
    done = voicecore("call", NUMBER, "--yes", "--project", "mine")
    assert done.code == ExitCode.FAILED
    assert "voicecore add telephony --provider twilio" in done.stderr

"""`voicecore call`: places no call without confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Voicecore
from tests.standins import site
from tests.standins.background import in_background
from voicecore.catalog.phones import PHONES
from voicecore.console.errors import ExitCode

NUMBER = "+12025550123"


@dataclass
class CallServer:
    """A session server that places calls, and reports the given states."""

    states: list[str]
    refusal: int = 0
    document: bytes = b""
    """Body of every answer, instead of a good one."""
    url: str = ""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, body))
        if self.document:
            return web.Response(body=self.document, content_type="application/json")
        if self.refusal or request.headers["Authorization"] != "Bearer key":
            error = {"code": "provider_refused", "message": "The provider refused: HTTP 401."}
            return web.json_response({"error": error}, status=self.refusal or 401)
        if request.method == "POST":
            return web.json_response({"callId": "v3:a", "provider": "telnyx", "sessionId": "s"})
        state = self.states.pop(0)
        return web.json_response({"callId": "v3:a", "provider": "telnyx", "status": state})


@contextmanager
def running(server: CallServer) -> Iterator[CallServer]:
    app = web.Application()
    app.router.add_route("*", "/phone/{path:.*}", server.answer)
    with in_background(site.serving(app, shutdown_seconds=0.1)) as served:
        server.url = served.url
        yield server


def test_follows_call_until_it_ends(voicecore: Voicecore) -> None:
    with running(CallServer(["ringing", "completed"])) as server:
        key = {"SESSION_API_KEY": "key"}
        done = voicecore("call", NUMBER, "--yes", "--url", server.url, env=key)
        assert done.code == ExitCode.OK, done.stderr
        assert "Telnyx calls +12025550123: v3:a" in done.stderr and "• ringing" in done.stderr
    assert server.requests[0] == ("POST", "/phone/calls", {"to": NUMBER})
    assert server.requests[1][:2] == ("GET", "/phone/calls/v3%3Aa?provider=telnyx")


@pytest.mark.parametrize(
    "document",
    [b"[" * 200_000, b"\xff", b"9" * 5000, b"[1]", b"{}", b'{"callId": 1, "provider": "x"}'],
)
def test_malformed_answer_is_refused(voicecore: Voicecore, document: bytes) -> None:
    with running(CallServer([], document=document)) as server:
        key = {"SESSION_API_KEY": "key"}
        done = voicecore("call", NUMBER, "--yes", "--url", server.url, env=key)
    assert done.code == ExitCode.FAILED
    assert "The answer of the session server lacks callId" in done.stderr


def test_refused_call_names_server_env(voicecore: Voicecore) -> None:
    with running(CallServer([], refusal=502)) as server:
        key = {"SESSION_API_KEY": "key"}
        done = voicecore("call", NUMBER, "--yes", "--url", server.url, env=key)
    assert done.code == ExitCode.FAILED
    assert "HTTP 401" in done.stderr and "server/.env" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), f"voicecore call {NUMBER} --url http://127.0.0.1:9 --yes"),
        (("--provider", "pigeon"), "Provider 'pigeon' is not available"),
    ],
)
def test_places_no_call_without_confirmation(
    voicecore: Voicecore, flags: tuple[str, ...], message: str
) -> None:
    done = voicecore("call", NUMBER, "--url", "http://127.0.0.1:9", *flags)
    assert done.code == ExitCode.USAGE
    assert message in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        ("12", ExitCode.USAGE, "'12' is not a phone number"),
        ("+1 415 CALL NOW", ExitCode.USAGE, "is not a phone number"),
        ("4155550199", ExitCode.USAGE, "voicecore call +14155550199"),
        ("0044 20 7946 0018", ExitCode.USAGE, "voicecore call +442079460018"),
        ("442079460018", ExitCode.USAGE, "'442079460018' has no country code"),
        (
            "+1 (202) 555-0123",
            ExitCode.FAILED,
            "request to http://127.0.0.1:9 failed: Cannot connect to host",
        ),
        (NUMBER, ExitCode.FAILED, "request to http://127.0.0.1:9 failed: Cannot connect to host"),
    ],
)
def test_reports_why_call_cannot_be_placed(
    voicecore: Voicecore, number: str, code: ExitCode, message: str
) -> None:
    key = {"SESSION_API_KEY": "key"}
    done = voicecore("call", number, "--yes", "--url", "http://127.0.0.1:9", env=key)
    assert done.code == code and message in done.stderr


def test_project_without_telephony_names_add(voicecore: Voicecore) -> None:
    voicecore("init", "mine", "--yes")
    done = voicecore("call", NUMBER, "--yes", "--project", "mine")
    assert done.code == ExitCode.FAILED
    assert "voicecore add telephony --provider twilio" in done.stderr


@pytest.mark.parametrize("provider", PHONES)
def test_call_by_made_up_account_is_refused_before_anything_starts(
    voicecore: Voicecore, tmp_path: Path, provider: str
) -> None:
    voicecore("init", "mine", "--yes", "-t", "telephony", "--provider", provider)
    done = voicecore("call", NUMBER, "--project", "mine", "--json")
    assert done.code == ExitCode.FAILED
    error = done.json["error"]
    needed = (*PHONES[provider].secrets, *PHONES[provider].calling, "PHONE_NUMBERS")
    assert all(name in error["message"] for name in needed)
    assert f"voicecore talk --phone {provider}" in error["hint"]
    with (tmp_path / "mine/server/.env").open("a") as env:
        env.writelines(f"{name}=x\n" for name in needed)
    asked = voicecore("call", NUMBER, "--project", "mine", "--json")
    assert "no call was placed" in asked.json["error"]["message"]

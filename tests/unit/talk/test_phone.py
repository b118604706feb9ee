"""`voicecore talk --phone` as a process, in all five protocols, against a stand-in of a server."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.lab.phone.accounts import account
from tests.unit.talk.switchboard import Switchboard
from tests.unit.talk.test_talk import sound_in
from voicecore.talk.phone_frames import WIRES

QUESTION = Path(__file__).parents[3] / "voicecore/samples/what-time-is-it.wav"


class Said:
    """What one run of `talk --json` told."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.stderr = code, err.decode()
        self.events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e.get("event") == event]

    @property
    def error(self) -> str:
        error = self.events[-1]["error"]
        return f"{error['message']}\n{error['hint']}"


async def talk(board: Switchboard, provider: str, *arguments: str, **env: str) -> Said:
    argv = ["talk", "--json", "--url", board.url, "--phone", provider, *arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voicecore", *argv,
        env={**os.environ, **account(provider), **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Said(process.returncode or 0, out, err)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize("provider", WIRES)
def test_a_call_by_each_provider(provider: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with Switchboard() as board:
            recording = tmp_path / "call.wav"
            said = await talk(
                board, provider, "--dtmf", "4#", "--input", str(QUESTION),
                "--record", str(recording),
            )  # fmt: skip
        assert said.code == 0, said.stderr
        assert [e["key"] for e in said.of("key")] == ["4", "#"]
        (user,), (_greeting, answer) = said.of("user_spoke"), said.of("agent_spoke")
        assert 0.5 < user["seconds"] < 1.5
        assert answer == {**answer, "turn": 1, "interrupted": False, "seconds": 0.6}
        (latency,) = said.of("latency")
        assert latency["total_ms"] > 250 and latency["agent_ms"] is None
        assert said.of("note") == []
        assert said.events[-1] == {**said.events[-1], "by": "script", "turns": 1}

        wire = WIRES[provider]
        assert board.sizes == {wire.bytes_per_ms * wire.chunk_ms}
        dtmf = board.events("dtmf") or board.events("websocket:dtmf")
        assert [e.get("digit") or e["dtmf"]["digit"] for e in dtmf] == ["4", "#"]
        assert bool(board.events("stop")) == (provider in ("twilio", "telnyx", "exotel"))
        rate, both = sound_in(recording)
        assert rate == 24_000
        assert abs(both[:, 1]).max() > 3000  # a tone at 0.3 of full scale, through the line

    run(test)


@pytest.mark.parametrize("provider", ["twilio", "plivo", "vonage"])
def test_the_agent_hangs_up(provider: str) -> None:
    async def test() -> None:
        async with Switchboard(greets=False, hangs_up_after=1) as board:
            said = await talk(board, provider, "--input", str(QUESTION), "--input", str(QUESTION))
        assert said.code == 1
        assert said.of("agent_hung_up")
        assert "hung up before everything was said" in said.error

    run(test)


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ("", 401, "does not take Twilio's call to +12025550100: HTTP 401"),
        ("<Response><Reject/></Response>", 200, "it rejects the call"),
        ("nonsense", 200, "it is no XML"),
        ('<Response><Connect><Stream url="{url}?token=1"/></Connect></Response>', 200, "31922"),
        ('<Response><Connect><Stream url="{url}s"/></Connect></Response>', 200, "HTTP 404"),
    ],
)
def test_a_server_that_does_not_take_the_call(answer: str, status: int, told: str) -> None:
    async def test() -> None:
        async with Switchboard(answer=answer, status=status) as board:
            said = await talk(board, "twilio", "--dtmf", "1")
        assert said.code == 1
        assert told in said.error

    run(test)


def test_nobody_at_the_servers_address() -> None:
    async def test() -> None:
        said = await talk(Switchboard(url="http://127.0.0.1:9"), "plivo", "--dtmf", "1")
        assert said.code == 1
        assert "does not answer the telephone" in said.error

    run(test)


def test_the_server_is_called_by_its_public_name() -> None:
    async def test() -> None:
        answer = (
            '<Response><Connect><Stream url="wss://agent.example.com/phone/twilio/media/token"/>'
            "</Connect></Response>"
        )
        async with Switchboard(answer=answer) as board:
            public = {"PUBLIC_URL": "https://agent.example.com"}
            said = await talk(board, "twilio", "--dtmf", "1", **public)
        assert said.code == 0, said.error
        assert board.events("start")

    run(test)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--phone", "bell"], "those are twilio, telnyx, plivo, exotel, vonage"),
        (["--phone", "twilio", "--text"], "carries no text"),
        (["--phone", "twilio", "--remote"], "calls a server, not an agent"),
        (["--phone", "twilio", "-t", "webrtc"], "knows no TURN"),
        (["--phone", "twilio", "--dtmf", "1a2"], "none for a"),
        (["--dtmf", "1"], "add --phone"),
    ],
)
def test_flags_that_make_no_sense(voicecore: Any, arguments: list[str], told: str) -> None:
    result = voicecore("talk", *arguments)
    assert result.code == 2
    assert told in result.stderr

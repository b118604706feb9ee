"""`voicecore talk --phone` as a process, in all five protocols, against a stand-in of a server."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import Voicecore
from tests.standins.phone.accounts import account
from tests.standins.talk.switchboard import Switchboard
from tests.unit.talk.test_talk import sound_in
from voicecore.console.errors import VoicecoreError
from voicecore.talk.telephone import signatures
from voicecore.talk.telephone.media_frames import WIRES
from voicecore.talk.telephone.phone_call import Telephone
from voicecore.talk.telephone.signatures import Request
from voicecore.talk.telephone.webhooks import new_call

pytestmark = pytest.mark.slow

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


def test_a_call_by_each_provider(tmp_path: Path) -> None:
    async def call(provider: str) -> None:
        recording = tmp_path / f"{provider}.wav"
        async with Switchboard() as board:
            said = await talk(
                board, provider, "--dtmf", "4#", "--input", str(QUESTION),
                "--record", str(recording),
            )  # fmt: skip
        assert said.code == 0, said.stderr
        assert [e["key"] for e in said.of("key")] == ["4", "#"]
        (user,), (_greeting, _keys, answer) = said.of("user_spoke"), said.of("agent_spoke")
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
        _, both = sound_in(recording)
        assert abs(both[:, 1]).max() > 3000  # a tone at 0.3 of full scale, through the line

    async def test() -> None:
        await asyncio.gather(*map(call, WIRES))

    run(test)


def test_the_agent_hangs_up_when_its_mark_was_heard() -> None:
    async def call(provider: str) -> None:
        async with Switchboard(hangs_up_after=1) as board:
            said = await talk(board, provider, "--input", str(QUESTION), "--input", str(QUESTION))
        assert said.code == 1
        assert said.of("agent_hung_up")
        assert said.of("agent_spoke")[-1]["seconds"] == 0.6
        assert "hung up before everything was said" in said.error

    async def test() -> None:
        await asyncio.gather(*map(call, ("twilio", "plivo", "vonage")))

    run(test)


def test_a_server_that_does_not_take_the_call() -> None:
    async def test() -> None:
        async with Switchboard(answer="<Response><Reject/></Response>") as board:
            said = await talk(board, "twilio", "--dtmf", "1", "--project", "nowhere")
        assert said.code == 1
        assert "does not take Twilio's call to +12025550100: it rejects the call" in said.error
        assert "voicecore add telephony --provider twilio" in said.error

    run(test)


async def refusal(board: Switchboard, provider: str = "twilio", **more: str) -> str:
    """What a telephone says when it cannot hold a call."""
    credentials = {**account(provider), **more}
    call = new_call(provider, credentials, "+12025550123", "+12025550100")
    async with aiohttp.ClientSession() as http:
        telephone = Telephone(http, board.url, call, credentials, lambda _: None)
        with pytest.raises(VoicecoreError) as refused:
            async with asyncio.timeout(10):
                await telephone.run()
    return refused.value.message


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ("", 401, "does not take Twilio's call to +12025550100: HTTP 401"),
        ("nonsense", 200, "it is no XML"),
        ('<Response><Connect><Stream url="{url}?token=1"/></Connect></Response>', 200, "31922"),
        ('<Response><Connect><Stream url="{url}s"/></Connect></Response>', 200, "HTTP 404"),
    ],
)
def test_answers_that_lead_nowhere(answer: str, status: int, told: str) -> None:
    async def test() -> None:
        async with Switchboard(answer=answer, status=status) as board:
            assert told in await refusal(board)

    run(test)


def test_nobody_at_the_servers_address() -> None:
    async def test() -> None:
        board = Switchboard(url="http://127.0.0.1:9")
        assert "does not answer the telephone" in await refusal(board, "plivo")

    run(test)


def test_what_proves_the_provider_must_be_known() -> None:
    async def test() -> None:
        async with Switchboard() as board:
            told = await refusal(board, "telnyx", SIGNING_KEY="")
            assert told == "Only Telnyx itself can sign for the TELNYX_PUBLIC_KEY that is set."
            assert board.webhooks == []

    run(test)


def test_the_server_is_called_by_its_public_name() -> None:
    async def test() -> None:
        answer = (
            '<Response><Connect><Stream url="wss://agent.example.com/phone/twilio/media/token"/>'
            "</Connect></Response>"
        )
        known = {**account("twilio"), "PUBLIC_URL": "https://agent.example.com"}
        call = new_call("twilio", known, "+12025550123", "+12025550100")
        connected = asyncio.Event()
        async with Switchboard(answer=answer) as board, aiohttp.ClientSession() as http:
            telephone = Telephone(http, board.url, call, known, lambda _: connected.set())
            calling = asyncio.create_task(telephone.run())
            async with asyncio.timeout(10):
                await connected.wait()
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        (_, headers, fields), (handshake,) = board.webhooks[0], board.handshakes
        webhook = Request("POST", "https://agent.example.com/phone/twilio", fields)
        media = Request("GET", "wss://agent.example.com/phone/twilio/media/token", {})
        for request, told in ((webhook, headers), (media, handshake)):
            signed = signatures.twilio(request, known["TWILIO_AUTH_TOKEN"])
            assert told["X-Twilio-Signature"] == signed["X-Twilio-Signature"]

    run(test)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--phone", "bell"], "those are twilio, telnyx, plivo, exotel, vonage"),
        (["--phone", "twilio", "--text"], "carries no text"),
        (["--phone", "twilio", "--remote"], "calls a server, not an agent"),
        (["--phone", "twilio", "-t", "webrtc"], "choose one"),
        (["--phone", "twilio", "--relay-only"], "knows no TURN"),
        (["--phone", "twilio", "--dtmf", "1a2"], "none for a"),
        (["-t", "telephony", "--url", "http://127.0.0.1:9"], "--phone twilio or --phone telnyx"),
        (["--dtmf", "1", "--url", "http://127.0.0.1:9"], "add --phone"),
    ],
)
def test_flags_that_make_no_sense(voicecore: Voicecore, arguments: list[str], told: str) -> None:
    result = voicecore("talk", *arguments)
    assert result.code == 2
    assert told in result.stderr


def test_a_project_whose_callers_have_other_means(voicecore: Voicecore, tmp_path: Path) -> None:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    result = voicecore("talk", "--phone", "plivo", cwd=tmp_path / "line")
    assert result.code == 2
    assert "line takes no telephone calls." in result.stderr
    assert "voicecore add telephony --provider plivo" in result.stderr


def test_a_project_that_only_telephones_reach(voicecore: Voicecore, tmp_path: Path) -> None:
    flags = ("--transport", "telephony", "--provider", "vonage", "--pipeline", "offline", "--yes")
    assert voicecore("init", "line", *flags).code == 0
    result = voicecore("talk", "--text", cwd=tmp_path / "line")
    assert result.code == 2
    assert "a telephone carries no text" in result.stderr

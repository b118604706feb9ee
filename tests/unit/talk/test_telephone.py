"""`voicecore talk --phone` in the protocol of each provider, against a stand-in of a server."""

import ast
import asyncio
import json
import os
import sys
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import voicecore
from tests.conftest import Voicecore
from tests.standins.phone.accounts import account
from tests.standins.talk.phone_server import PhoneServerStandIn
from tests.unit.talk.test_talk import sound_in
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.signaling import WebhookRequest
from voicecore.console.errors import VoicecoreError
from voicecore.talk.telephone.telephone import Telephone

pytestmark = pytest.mark.slow

QUESTION = Path(__file__).parents[3] / "voicecore/samples/what-time-is-it.wav"


class Finished:
    """The output of one `talk --json`."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.stderr = code, err.decode()
        self.events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e.get("event") == event]

    @property
    def error(self) -> str:
        error = self.events[-1]["error"]
        return f"{error['message']}\n{error['hint']}"


async def talk(server: PhoneServerStandIn, provider: str, *arguments: str, **env: str) -> Finished:
    argv = ["talk", "--json", "--url", server.url, "--phone", provider, *arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voicecore", *argv,
        env={**os.environ, **account(provider), **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Finished(process.returncode or 0, out, err)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def test_holds_a_call_by_each_provider(tmp_path: Path) -> None:
    async def call(provider: str) -> None:
        recording = tmp_path / f"{provider}.wav"
        async with PhoneServerStandIn() as server:
            done = await talk(
                server, provider, "--dtmf", "4#", "--input", str(QUESTION),
                "--record", str(recording),
            )  # fmt: skip
        assert done.code == 0, done.stderr
        assert [e["key"] for e in done.of("key")] == ["4", "#"]
        (user,), (_greeting, _keys, answer) = done.of("user_spoke"), done.of("agent_spoke")
        assert 0.5 < user["seconds"] < 1.5
        assert answer == {**answer, "turn": 1, "interrupted": False, "seconds": 0.6}
        (latency,) = done.of("latency")
        assert latency["total_ms"] > 250 and latency["agent_ms"] is None
        assert done.of("note") == []
        assert done.events[-1] == {**done.events[-1], "by": "script", "turns": 1}

        assert server.sizes == {PHONES[provider].media().chunk_bytes}
        dtmf = server.events("dtmf") or server.events("websocket:dtmf")
        assert [e.get("digit") or e["dtmf"]["digit"] for e in dtmf] == ["4", "#"]
        assert bool(server.events("stop")) == (provider in ("twilio", "telnyx", "exotel"))
        _, both = sound_in(recording)
        assert abs(both[:, 1]).max() > 3000  # a tone at 0.3 of full scale, through the line

    async def test() -> None:
        await asyncio.gather(*map(call, PHONES))

    run(test)


def test_reply_to_keys_is_heard_to_its_end(tmp_path: Path) -> None:
    async def call(*more: str) -> list[tuple[str, float]]:
        async with PhoneServerStandIn(keys_ms=1000, thinks_ms=1500) as server:
            done = await talk(server, "twilio", "--dtmf", "12#", *more)
        assert done.code == 0, done.stderr
        spoken = [each for each in done.events if each["event"] in ("user_spoke", "agent_spoke")]
        return [(each["event"], each["seconds"]) for each in spoken]

    async def test() -> None:
        keys, both = await asyncio.gather(call(), call("--input", str(QUESTION)))
        assert keys == [("agent_spoke", 0.4), ("agent_spoke", 1.0)]
        assert both[:2] == keys
        assert [who for who, _ in both[2:]] == ["user_spoke", "agent_spoke"]

    run(test)


def test_agent_hangs_up_when_its_mark_was_played() -> None:
    async def call(provider: str) -> None:
        async with PhoneServerStandIn(hangs_up_after=1) as server:
            done = await talk(server, provider, "--input", str(QUESTION), "--input", str(QUESTION))
        assert done.code == 1
        assert done.of("agent_hung_up")
        assert done.of("agent_spoke")[-1]["seconds"] == 0.6
        assert "hung up before everything was said" in done.error

    async def test() -> None:
        await asyncio.gather(*map(call, ("twilio", "plivo", "vonage")))

    run(test)


def test_reports_a_rejected_call() -> None:
    async def test() -> None:
        async with PhoneServerStandIn(answer="<Response><Reject/></Response>") as server:
            done = await talk(server, "twilio", "--dtmf", "1", "--project", "nowhere")
        assert done.code == 1
        assert "does not accept Twilio's call to +12025550100: it rejects the call" in done.error
        assert "voicecore add telephony --provider twilio" in done.error

    run(test)


@pytest.mark.parametrize("provider", PHONES)
def test_session_of_a_call_is_the_one_that_the_server_derives(provider: str) -> None:
    source = Path(voicecore.__file__).parent / "catalog/transports/telephony/template/server"
    text = (source / "internal/telephony/provider.py").read_text()
    function = next(
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == "session_id_for"
    )
    names: dict[str, Any] = {"uuid": uuid}
    exec(ast.unparse(function), names)
    call = PHONES[provider].signaling().new_call(account(provider), "+12025550123", "+12025550100")
    assert call.session_id == names["session_id_for"](provider, call.id)


async def refusal(server: PhoneServerStandIn, provider: str = "twilio", **more: str) -> str:
    """Return the error of a call that fails."""
    credentials = {**account(provider), **more}
    signaling = PHONES[provider].signaling()
    call = signaling.new_call(credentials, "+12025550123", "+12025550100")
    async with aiohttp.ClientSession() as http:
        telephone = Telephone(http, server.url, call, credentials, lambda _: None)
        with pytest.raises(VoicecoreError) as refused:
            async with asyncio.timeout(60):
                await telephone.run()
    return refused.value.message


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ("", 401, "does not accept Twilio's call to +12025550100: HTTP 401"),
        ("nonsense", 200, "it is not XML"),
        ('<Response><Connect><Stream url="{url}?token=1"/></Connect></Response>', 200, "31922"),
        ('<Response><Connect><Stream url="{url}s"/></Connect></Response>', 200, "HTTP 404"),
    ],
)
def test_reports_unusable_answers(answer: str, status: int, reason: str) -> None:
    async def test() -> None:
        async with PhoneServerStandIn(answer=answer, status=status) as server:
            assert reason in await refusal(server)

    run(test)


def test_reports_unreachable_server() -> None:
    async def test() -> None:
        server = PhoneServerStandIn(url="http://127.0.0.1:9")
        assert "does not answer the telephone" in await refusal(server, "plivo")

    run(test)


def test_telnyx_calls_need_the_signing_key() -> None:
    async def test() -> None:
        async with PhoneServerStandIn() as server:
            message = await refusal(server, "telnyx", SIGNING_KEY="")
            assert message == "Only Telnyx itself can sign for the TELNYX_PUBLIC_KEY that is set."
            assert server.webhooks == []

    run(test)


def test_signatures_cover_the_public_url() -> None:
    async def test() -> None:
        answer = (
            '<Response><Connect><Stream url="wss://agent.example.com/phone/twilio/media/token"/>'
            "</Connect></Response>"
        )
        credentials = {**account("twilio"), "PUBLIC_URL": "https://agent.example.com"}
        signaling = PHONES["twilio"].signaling()
        call = signaling.new_call(credentials, "+12025550123", "+12025550100")
        connected = asyncio.Event()
        async with PhoneServerStandIn(answer=answer) as server, aiohttp.ClientSession() as http:
            telephone = Telephone(http, server.url, call, credentials, lambda _: connected.set())
            calling = asyncio.create_task(telephone.run())
            async with asyncio.timeout(60):
                await connected.wait()
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        (_, headers, fields), (handshake,) = server.webhooks[0], server.handshakes
        webhook = WebhookRequest("POST", "https://agent.example.com/phone/twilio", fields)
        media = WebhookRequest("GET", "wss://agent.example.com/phone/twilio/media/token", {})
        for request, sent in ((webhook, headers), (media, handshake)):
            signed = signaling.sign(request, credentials, 0)
            assert sent["X-Twilio-Signature"] == signed["X-Twilio-Signature"]

    run(test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phone", "bell"], "choose from twilio, telnyx, plivo, exotel, vonage"),
        (["--phone", "twilio", "--text"], "a phone call carries none"),
        (["--phone", "twilio", "--remote"], "calls a server, not an agent"),
        (["--phone", "twilio", "-t", "webrtc"], "choose one"),
        (["--phone", "twilio", "--relay-only"], "a phone call uses no TURN"),
        (["--phone", "twilio", "--dtmf", "1a2"], "not a."),
        (["-t", "telephony", "--url", "http://127.0.0.1:9"], "--phone twilio or --phone telnyx"),
        (["--dtmf", "1", "--url", "http://127.0.0.1:9"], "add --phone"),
    ],
)
def test_rejects_contradicting_flags(
    voicecore: Voicecore, arguments: list[str], message: str
) -> None:
    result = voicecore("talk", *arguments)
    assert result.code == 2
    assert message in result.stderr


def test_rejects_phone_of_a_project_without_telephony(voicecore: Voicecore, tmp_path: Path) -> None:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    result = voicecore("talk", "--phone", "plivo", cwd=tmp_path / "line")
    assert result.code == 2
    assert "line takes no phone calls." in result.stderr
    assert "voicecore add telephony --provider plivo" in result.stderr


def test_telephony_project_is_called_by_phone(voicecore: Voicecore, tmp_path: Path) -> None:
    flags = ("--transport", "telephony", "--provider", "vonage", "--pipeline", "offline", "--yes")
    assert voicecore("init", "line", *flags).code == 0
    result = voicecore("talk", "--text", cwd=tmp_path / "line")
    assert result.code == 2
    assert "a phone call carries none" in result.stderr

"""A generated server connects phone providers to the local runtime, also when parts fail."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.server.phone_systems import (
    SAMPLES,
    PhoneSystem,
    ServerFiles,
    every_provider,
    phone_system,
    run,
)
from tests.standins.phone import Handset, Mistake, Proof, Provider
from tests.standins.runtime.runtime_lab import ARN
from tests.standins.talk.session_server import tone
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import StreamPosition
from voicecore.catalog.phones.record import ALAW
from voicecore.talk.audio import pcm
from voicecore.talk.audio.clips import open_clip


@every_provider
def test_calls_in_and_out_from_ring_to_hang_up(
    files: ServerFiles, tmp_path: Path, name: str
) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, name) as system:
            await incoming_call(system)
            await call_ended_by_the_agent(system)
            await outgoing_call(system)

    run(call())


async def incoming_call(system: PhoneSystem) -> None:
    answer = await system.provider.ring(system.server.url)
    async with system.provider.dial(answer) as handset:
        await handset.hears(0.4)
        [session] = system.lab.sessions()
        assert session.removeprefix(f"{system.provider.name}-") in (
            answer.call.phone_call.id,
            session[-36:],
        )
        handset.press("1")
        await handset.is_cleared()
        assert handset.complaints == []
    await system.lab.until(
        lambda: not system.lab.sessions()
    )  # stopped at hang-up, not by a timeout
    frames = [frame for _, frame in system.heard()]
    opening = [frame["event"] for frame in frames[:2] if isinstance(frame, dict)]
    assert "start" in opening or opening[0] == "websocket:connected"
    media = [frame["media"] for frame in frames if isinstance(frame, dict) and "media" in frame]
    numbers = [int(sound["chunk"]) for sound in media if "chunk" in sound]
    assert numbers == sorted(numbers)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # its ticket is used up
        async with system.provider.dial(answer):
            pass
    [ended] = await system.until("call_ended")
    assert ended["by"] == "the caller"


async def call_ended_by_the_agent(system: PhoneSystem) -> None:
    async with system.provider.call(system.server.url) as handset:
        await handset.hears(0.4)
        handset.press("2")
        await handset.hung_up_on()
        assert handset.voice_seconds > 0.8
        assert len(handset.marks) == 1 and "goodbye" in handset.marks[0]
        assert handset.complaints == []
    asked = [path for method, path in system.provider.asked if method != "GET"]
    assert len(asked) == (0 if system.provider.name == "exotel" else 1)
    await system.lab.until(lambda: not system.lab.sessions())
    assert (await system.until("call_ended", 2))[1]["by"] == "the agent"


async def outgoing_call(system: PhoneSystem) -> None:
    name = system.provider.name
    system.provider.flow_url = f"{system.server.url}/phone/{name}"
    status, placed = await system.ask("POST", "/calls", to="+12025550123", provider=name)
    assert status == 200 and placed["provider"] == name
    handset: Handset = await asyncio.wait_for(system.provider.answered.get(), 120)
    await handset.hears(0.4)
    assert system.lab.sessions() == [placed["sessionId"]]
    path, asked = f"/calls/{placed['callId']}", len(system.provider.asked)
    status, state = await system.ask("GET", path)  # the server finds its provider
    assert status == 200 and state["provider"] == name
    assert state["status"] in ("in-progress", "answered")
    assert len(system.provider.asked) == asked + 1
    status, _ = await system.ask("POST", f"{path}/transfer", to="+12025550199")
    if name == "exotel":  # its API has neither
        assert status == 422
        await handset.hang_up()
    else:
        assert status == 204
        await handset.hung_up_on()
        assert system.provider.calls[placed["callId"]].transferred_to.endswith("12025550199")
    for query in ("", f"?provider={name}"):
        assert (await system.ask("GET", f"/calls/unknown{query}"))[0] == 404
    await system.until("call_status")  # from the provider


LINES = {
    "telnyx": {"encoding": ALAW, "chunk_ms": 10},
    "twilio": {"chunk_ms": 60},
    "plivo": {"chunk_ms": 30},
    "exotel": {"rate": 16_000, "chunk_ms": 40},
    "vonage": {"rate": 24_000},
}


def test_calls_of_every_kind_of_line_reach_the_agent(files: ServerFiles, tmp_path: Path) -> None:
    """Codec, rate and packets differ between countries; callers may withhold their number."""

    async def call(system: PhoneSystem, name: str) -> None:
        provider = system.providers[name]
        provider.media = provider.media.over(**LINES[name])
        answer = await provider.ring(system.server.url, caller="anonymous")
        async with provider.dial(answer) as handset:
            await handset.hears(0.1)
            media = provider.media.media(handset.stream, StreamPosition(2, 0, 0), b"\0" * 160)
            if isinstance(media, str):
                await handset.socket.send_str(media.replace('"inbound"', '"outbound"'))
            await handset.say(tone(400, 300, pcm.SPEECH_RATE))
            assert handset.complaints == []

    async def calls() -> None:
        async with phone_system(files, tmp_path, "twilio") as system:
            await asyncio.gather(*(call(system, name) for name in LINES))
            ended = await system.until("call_ended", len(LINES))
            assert {event["by"] for event in ended} == {"the caller"}
        assert not any('"outbound"' in json.dumps(frame) for _, frame in system.heard())

    run(calls())


def test_caller_whose_codec_is_unknown_hears_the_apology(
    files: ServerFiles, tmp_path: Path
) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "telnyx") as system:
            system.provider.media = system.provider.media.over("G722")
            async with system.provider.call(system.server.url) as handset:
                await handset.hears(0.5)
            [told] = await system.until("call_not_decoded")
            assert told["why"].startswith("its audio is G722 at 8000 Hz; offer only G.711")
            [ended] = await system.until("call_ended")
            assert ended["by"] == "the server: unknown audio"
            assert system.lab.sessions() == []

    run(call())


def test_forged_requests_start_nothing(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "twilio") as system, AsyncExitStack() as stack:
            for name in PHONES:
                provider = await stack.enter_async_context(Provider(name))
                # Signed by another account.
                assert (await provider.ring(system.server.url)).status == 401
            twilio = system.provider
            for proof in (Proof.MISSING, Proof.FORGED, Proof.ALTERED):
                assert (await twilio.ring(system.server.url, proof)).status == 401
            answer = await twilio.ring(system.server.url)
            assert answer.status == 200
            assert (await twilio.ring_again(answer)).status == 401
            url = f"{system.server.url}/phone/twilio/status"
            assert await twilio.tell(answer.call, url, "completed", Proof.FORGED) == 401
            assert await twilio.tell(answer.call, url, "completed") == 204
            refused = await twilio.ring(system.server.url, called="+12025550188")
            assert refused.status == 200 and "<Reject/>" in refused.text
            assert system.lab.sessions() == []
            assert len(system.events("webhook_refused")) == len(PHONES) + 5

    run(call())


@pytest.mark.parametrize("name", ["telnyx", "vonage"])
def test_old_requests_start_nothing(files: ServerFiles, tmp_path: Path, name: str) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, name) as system:
            for proof in (Proof.STALE, Proof.ALTERED, Proof.MISSING):
                assert (await system.provider.ring(system.server.url, proof)).status == 401
            answer = await system.provider.ring(system.server.url)
            assert (await system.provider.ring_again(answer)).status == 401

    run(call())


def test_vonage_can_connect_to_agentcore_directly_within_the_call_limit(
    files: ServerFiles, tmp_path: Path
) -> None:
    async def call() -> None:
        settings = {"VONAGE_DIRECT": "1", "SESSIONS_AT_ONCE": "1"}
        async with phone_system(files, tmp_path, "vonage", **settings) as system:
            answer = await system.provider.ring(system.server.url)
            runtime = system.lab.runtime.url.replace("http", "ws")
            assert answer.connect.url.startswith(f"{runtime}/runtimes/")
            async with system.provider.dial(answer) as handset:
                await handset.hears(0.4)
                busy = await system.provider.ring(system.server.url)
                assert (busy.status, busy.text) == (200, "[]")
            url = f"{system.server.url}/phone/vonage/status"
            assert await system.provider.tell(answer.call, url, "completed") == 204
            assert (await system.provider.ring(system.server.url)).connect.url

    run(call())


BAD_STARTS = [mistake for mistake in Mistake if mistake is not Mistake.NONE]


def test_invalid_streams_reach_no_agent(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "twilio") as system:

            async def fails(mistake: Mistake) -> int | None:
                answer = await system.provider.ring(system.server.url)
                async with system.provider.dial(answer, mistake) as handset:
                    return await handset.hung_up_on()

            codes = await asyncio.gather(*map(fails, BAD_STARTS))
            closed = dict(zip(BAD_STARTS, codes, strict=True))
            assert {code for m, code in closed.items() if m is not Mistake.DROPPED} == {1008}
            ended = await system.until("call_ended", len(BAD_STARTS))
            assert system.lab.sessions() == [] and system.heard() == []
            reasons = " ".join(event["by"] for event in ended)
            for words in ("another call's", "no start within 5 s", "it closed"):
                assert words in reasons

    run(call())


def test_caller_hears_apology_when_no_agent_answers(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        # AgentCore answers 404 for this runtime.
        other = {"AGENT_RUNTIME_ARN": ARN.replace("my_agent", "no_agent")}
        async with (
            phone_system(files, tmp_path, "vonage", **other) as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hung_up_on()
            assert handset.voice_seconds > 2 and handset.complaints == []
            assert ("PUT", f"/v1/calls/{handset.stream.call}") in system.provider.asked
            assert system.events("agent_unreachable")[0]["why"] == "HTTP 404"

    run(call())


@pytest.mark.parametrize("seconds", ["3600", "6"], ids=["cut", "renewed"])
def test_call_continues_over_several_agent_connections(
    files: ServerFiles, tmp_path: Path, seconds: str
) -> None:
    """AgentCore ends a connection after 60 minutes, here 6 s; the server may renew it before."""
    clip = open_clip(SAMPLES / "twelve-times-seven.wav")
    words = b"".join(block.audio for block in clip.blocks())

    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "twilio", 600.0, STREAM_SECONDS=seconds) as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            if seconds == "3600":
                while len({number for number, _ in system.heard()}) < 2:
                    await handset.say(words)
            else:
                await system.lab.until(lambda: len({number for number, _ in system.heard()}) > 1)
            await handset.hears(0.9)  # the agent greets each connection
            [session] = system.lab.sessions()
            assert session == handset.stream.call
        second = [frame for number, frame in system.heard() if number == 2]
        assert [frame["event"] for frame in second[:2]] == ["connected", "start"]
        before = {f["media"]["chunk"] for n, f in system.heard() if n == 1 and "media" in f}
        again = [f for f in second if "media" in f and f["media"]["chunk"] in before]
        assert bool(again) == (seconds == "3600")  # only audio that was cut off is sent again
        assert (
            system.events("call_ended") == []
            or system.events("call_ended")[0]["by"] == "the caller"
        )

    run(call())


def test_crashed_agent_is_replaced_during_the_call(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "plivo") as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            handset.press("3")
            await handset.hears(0.9)  # the greeting of a new process of the session
            assert handset.complaints == []

    run(call())

"""The protocols of other people's agents: what is sent, what is read, how each is recognized."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from tests.standins import site
from tests.standins.models.sonic_rules import Audio as SonicAudio
from tests.standins.models.sonic_rules import SonicSession, Typed
from voicecore.console.errors import VoicecoreError
from voicecore.talk.agents.source import OpenSocket
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Connected, Delivery, HungUp
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.websocket import WebSocketConnection
from voicecore.talk.wire.choice import WIRES, NewWire, UnknownProtocol, named, of_first
from voicecore.talk.wire.pipecat import JsonWire, ProtobufWire
from voicecore.talk.wire.raw_pcm import RawPcmWire
from voicecore.talk.wire.sonic import SonicWire
from voicecore.talk.wire.strands import StrandsWire

BLOCK = np.full(320, 1000, "<i2").tobytes()
TYPED = rtvi.send_text("Hello")
SOUND = base64.b64encode(BLOCK).decode()


def sonic(kind: str, **fields: object) -> str:
    return json.dumps({"event": {kind: fields}})


def test_sonic_follows_the_rules_of_the_model() -> None:
    wire, session = SonicWire(), SonicSession()
    inputs: list[object] = []
    for data in [*wire.opening(), *wire.speech(BLOCK), *wire.message(TYPED)]:
        event = session.accept(json.loads(data))
        inputs += [event] if event else []
    assert inputs == [SonicAudio(BLOCK), Typed("Hello")]
    assert session.system
    assert (session.input_rate, session.output_rate) == (16_000, 24_000)


@pytest.mark.parametrize(
    ("wire", "data", "delivered"),
    [
        (SonicWire(), sonic("audioOutput", content=SOUND), pipecat_frames.Audio(BLOCK, 24_000)),
        (SonicWire(), sonic("contentStart", type="AUDIO", role="ASSISTANT"), rtvi.BotStarted()),
        (SonicWire(), sonic("contentEnd", type="AUDIO", stopReason="END_TURN"), rtvi.BotStopped()),
        (SonicWire(), sonic("contentEnd", stopReason="INTERRUPTED"), rtvi.BotInterrupted()),
        (SonicWire(), sonic("textOutput", role="USER", content="Hi"),
         rtvi.UserTranscription("Hi", True)),
        (SonicWire(), sonic("textOutput", role="ASSISTANT", content="Yes"), rtvi.BotOutput("Yes")),
        (SonicWire(), '{"type": "error", "message": "no"}', rtvi.AgentError("no", False)),
        (StrandsWire(), json.dumps({"type": "bidi_audio_stream", "audio": SOUND,
                                    "sample_rate": 16_000, "channels": 1}),
         pipecat_frames.Audio(BLOCK, 16_000)),
        (StrandsWire(), json.dumps({"type": "bidi_audio_delta", "audio": SOUND,
                                    "sample_rate": 24_000, "channels": 1}),
         pipecat_frames.Audio(BLOCK, 24_000)),
        (StrandsWire(), json.dumps({"type": "bidi_transcript_stream", "role": "user",
                                    "text": "Hi", "is_final": True}),
         rtvi.UserTranscription("Hi", True)),
        (StrandsWire(), json.dumps({"type": "bidi_transcript_block", "role": "assistant",
                                    "transcript": "Yes"}), rtvi.BotOutput("Yes")),
        (StrandsWire(), '{"type": "bidi_interruption", "reason": "user_speech"}',
         rtvi.BotInterrupted()),
        (StrandsWire(), '{"type": "bidi_barge_in"}', rtvi.BotInterrupted()),
        (JsonWire(), json.dumps({"label": "rtvi-ai", "type": "eval-bot-audio",
                                 "data": {"audio": SOUND, "sampleRate": 24_000}}),
         pipecat_frames.Audio(BLOCK, 24_000)),
        (JsonWire(), '{"label": "rtvi-ai", "type": "bot-ready"}', rtvi.BotReady()),
        (RawPcmWire(8000), BLOCK, pipecat_frames.Audio(BLOCK, 8000)),
    ],
)  # fmt: skip
def test_events_of_agents_are_understood(wire: Any, data: str | bytes, delivered: object) -> None:
    assert wire.read(data)[0] == delivered


def test_sonic_tells_its_words_once() -> None:
    wire = SonicWire()
    final = '{"generationStage":"FINAL"}'
    wire.read(sonic("contentStart", type="TEXT", additionalModelFields=final))
    assert wire.read(sonic("textOutput", role="ASSISTANT", content="Yes")) == ()


def test_half_a_sample_waits_for_its_other_half() -> None:
    wire = RawPcmWire()
    assert wire.read(BLOCK[:1]) == ()
    assert wire.read(BLOCK[1:2]) == (pipecat_frames.Audio(BLOCK[:2], 16_000),)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize(
    "data", ["", "[]", "null", '{"event": 5}', '{"event": {}}', '{"event": {"audioOutput": 1}}',
             '{"type": "bidi_audio_stream"}', '{"label": "rtvi-ai", "type": "eval-bot-audio"}',
             '{"type": "bidi_audio_stream", "audio": "!", "sample_rate": 1e9}', b"", b"\xff\xff"],
)  # fmt: skip
def test_strange_messages_end_no_call(name: str, data: str | bytes) -> None:
    with suppress(pipecat_frames.BadFrame):
        WIRES[name]().read(data)


@pytest.mark.parametrize(
    ("first", "wire"),
    [
        (pipecat_frames.encode(pipecat_frames.Audio(BLOCK, 16_000)), ProtobufWire),
        ('{"label": "rtvi-ai", "type": "metrics"}', JsonWire),
        ('{"type": "bidi_connection_start", "model": "m"}', StrandsWire),
        ('{"event": {"completionStart": {}}}', SonicWire),
    ],
)
def test_protocol_is_recognized_by_its_first_message(first: str | bytes, wire: NewWire) -> None:
    assert of_first(first) is wire


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        (b"\xff" * 640, "640 bytes that are not a frame of Pipecat"),
        ("welcome", "'welcome'"),
        ('{"type": "hello"}', "hello"),
        ('{"event": "connected", "protocol": "Call"}', "phone provider"),
    ],
)
def test_unknown_protocol_is_shown(first: str | bytes, shown: str) -> None:
    with pytest.raises(VoicecoreError) as raised:
        of_first(first)
    assert shown in raised.value.message
    assert "voicecore talk" in str(raised.value.hint) or "--protocol" in str(raised.value.hint)


@pytest.mark.parametrize("value", ["", "grpc", "pcm:", "pcm:0", "pcm:fast", "sonic:24000"])
def test_protocol_of_another_name_is_refused(value: str) -> None:
    with pytest.raises(UnknownProtocol):
        named(value)


def test_rate_of_raw_sound_is_named() -> None:
    wire = named("pcm:8000")()
    (sent,) = wire.speech(BLOCK)
    assert len(sent) == len(BLOCK) // 2


# Against agents


Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


async def call(talk: Talk, wire: NewWire | None = None) -> list[Delivery]:
    """Call an agent that talks so, say a block, and return what it delivered until it hung up."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await talk(socket)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/ws", answer)
    served = await site.started(app)
    delivered: list[Delivery] = []
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(20):
            source = OpenSocket(f"ws://127.0.0.1:{served.port}/ws")
            connection = WebSocketConnection(
                http, source, delivered.append, lambda: False, wire=wire
            )
            connection.say(SpeechBlock(BLOCK, True))
            await connection.run()
    finally:
        await served.stop()
    return delivered


async def strands_agent(socket: web.WebSocketResponse) -> None:
    await socket.send_json({"type": "bidi_connection_start", "connection_id": "1", "model": "m"})
    heard = await socket.receive_json()
    reply = {"type": "bidi_audio_stream", "audio": heard["audio"], "format": "pcm"}
    await socket.send_json(reply | {"sample_rate": heard["sample_rate"], "channels": 1})


async def echo(socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(await socket.receive_bytes())


async def silent(socket: web.WebSocketResponse) -> None:
    await socket.receive()
    await socket.close(code=1003, message=b"text only")


def test_strands_agent_is_recognized_and_heard() -> None:
    delivered = asyncio.run(call(strands_agent))
    assert delivered == [Connected(False, False), pipecat_frames.Audio(BLOCK, 16_000), HungUp()]


def test_raw_sound_goes_both_ways() -> None:
    delivered = asyncio.run(call(echo, named("pcm")))
    assert delivered == [Connected(False, False), pipecat_frames.Audio(BLOCK, 16_000), HungUp()]


def test_agent_that_never_shows_its_protocol_is_told() -> None:
    with pytest.raises(UnknownProtocol, match="closed with code 1003") as raised:
        asyncio.run(call(silent))
    assert "text only" in raised.value.message
    assert "--protocol" in str(raised.value.hint)

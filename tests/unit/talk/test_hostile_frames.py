"""A call with an agent that sends anything: what is malformed is ignored and told once."""

import asyncio
import json
import math
import os
from collections.abc import Sequence

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.random_input import BY_COUNT
from tests.standins.talk.hostile_server import HostileServer, audio, frame, message
from tests.standins.talk.session_server import rtvi, tone
from voicecore.console import json_text
from voicecore.console.errors import VoicecoreError
from voicecore.talk.audio.call_audio import CallAudio
from voicecore.talk.audio.endpoints import SilentSpeaker
from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.call import LiveCall
from voicecore.talk.channel import Note
from voicecore.talk.events import AgentSaid, CallEvent
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports.connection import ClientSetup
from voicecore.talk.transports.rtvi import AgentLatency, ToolCall, parse
from voicecore.talk.transports.websocket import channel_for
from voicecore.talk.view.event_json import event_json
from voicecore.talk.view.latency import MeasuredTurn
from voicecore.talk.view.transcript import CallTranscript


def latency(turn: str, ms: str = "1") -> bytes:
    """Return a latency event whose numbers are written as given."""
    return message(
        '{"label": "rtvi-ai", "type": "server-message", "data": {"type": "latency", '
        f'"turn": {turn}, "total_ms": {ms}, "stages": [{{"key": "llm_inference", "ms": {ms}}}]}}}}'
    )


LAST_WORDS = message(json.dumps(rtvi("bot-output", {"text": "still here"})))
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "9" * 400, '"1"', "[]", "true"]
MALFORMED: dict[str, Sequence[bytes]] = {
    "numbers of the latency": [latency(n, n) for n in NUMBERS],
    "200,000 brackets": [message("[" * 200_000), message('{"a":' * 100_000)],
    "deep JSON": [message('{"label": "rtvi-ai", "data": ' + "[" * 500 + "]" * 500 + "}")],
    "5,000 digits": [message('{"label": ' + "9" * 5000 + "}")],
    "half a surrogate pair": [message(json.dumps(rtvi("bot-output", {"text": "\ud83d"})))],
    "sample rates": [audio(tone(100), rate) for rate in (0, 1, 7, 7999, 192_001, 2**32 - 1)],
    "channels": [audio(tone(100), 24_000, channels) for channels in (0, 3, 9, 2**32 - 1)],
    "odd bytes": [audio(b"\0" * 641, 24_000), audio(b"\0", 8000, 2), audio(b"", 8000)],
    "no frame": [b"", b"\xff" * 100, b"\x22\x05\x0a\x03\xff\xff\xff", frame(31, _1=b"x")],
    "no object": [message("null"), message("[]"), message('"text"'), message("1")],
    "no RTVI": [message('{"label": []}'), message('{"label": "rtvi-ai", "type": {}}')],
}


async def call(server: HostileServer) -> list[CallEvent]:
    """Call the server until it hangs up; return the events."""
    jitter_buffer = JitterBuffer()
    sink = SilentSpeaker(jitter_buffer)
    events: list[CallEvent] = []

    async def wait(_: LiveCall) -> None:
        await asyncio.Event().wait()

    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        live = LiveCall(
            channel_for(ClientSetup(http, server.url, "key", 3600)),
            CallAudio(ScriptedMicrophone(sink), sink, jitter_buffer),
            lambda event, _: events.append(event),
        )
        await live.run(wait)
    for event in events:
        json.dumps(event_json(event), allow_nan=False)
    return events


@pytest.mark.parametrize("kind", MALFORMED)
def test_call_goes_on_after_malformed_messages(kind: str) -> None:
    async def test() -> list[CallEvent]:
        messages = [*MALFORMED[kind], *MALFORMED[kind], LAST_WORDS]
        async with HostileServer(messages=messages, close=(1000, b"")) as server:
            return await call(server)

    events = asyncio.run(test())
    assert any(isinstance(event, AgentSaid) and "still here" in event.text for event in events)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == len(set(notes)) <= 3


ANSWERS: dict[str, bytes] = {
    "deep JSON": b"[" * 200_000,
    "deep objects": b'{"error":' * 5000 + b"1" + b"}" * 5000,
    "not UTF-8": b'{"sessionId": "\xff\xfe"}',
    "UTF-16": '{"sessionId": "s"}'.encode("utf-16"),
    "5,000 digits": b'{"sessionId": ' + b"9" * 5000 + b"}",
    "no list of servers": b'{"sessionId": "s", "wsUrl": "ws://h", "iceConfig": {"iceServers": 1}}',
    "no server": b'{"sessionId": "s", "wsUrl": "ws://h", "iceConfig": {"iceServers": ["x"]}}',
    "no ICE servers": b'{"sessionId": "s", "wsUrl": "ws://h", "iceConfig": [1]}',
    **{
        f"URL {url}": json.dumps({"sessionId": "s", "token": "t", "wsUrl": url}).encode()
        for url in (
            *("ws://[::1", "ws://[", "ws://h:99999", "ws://h:x", "ws://h:0", "ws://", "file:///x"),
            *("ws://h\r\nX: y/", "ws://a b/", "ws://" + "a" * 300 + ".test/", "ws://a..b/", "//h"),
        )
    },
    **{
        f"token {n}": json.dumps({"sessionId": s, "token": t, "wsUrl": "ws://127.0.0.1:1"}).encode()
        for n, (s, t) in enumerate(
            [("s", "a\r\nX: y"), ("s", "\0"), ("s\r\nX: y", "t"), ("s", "é"), ("s", "t" * 9000)]
        )
    },
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_malformed_answer_to_start_is_refused_in_one_line(kind: str) -> None:
    async def test() -> VoicecoreError:
        async with HostileServer(start=ANSWERS[kind]) as server:
            with pytest.raises(VoicecoreError) as refused:
                await call(server)
            return refused.value

    error = asyncio.run(test())
    assert error.hint
    assert "\n" not in error.message.strip()
    assert len(error.message) < 500


@pytest.mark.parametrize("url", ["http://[::1", "http://h:99999", "http://a..b", "http://h\r\n"])
def test_malformed_url_of_the_server_is_refused(url: str) -> None:
    with pytest.raises(VoicecoreError):
        asyncio.run(call(HostileServer(url=url)))


_TEXT = st.text(st.characters()) | st.sampled_from(
    ["rtvi-ai", "latency", "tool_call", "sound", "ms", "0"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=10,  # with 100, generating the examples takes ten times as long
)
_KINDS = (
    *("bot-ready", "user-transcription", "bot-output", "server-message", "error"),
    *("user-started-speaking", "user-stopped-speaking", "bot-llm-started", "bot-interrupted"),
    *("bot-started-speaking", "bot-stopped-speaking"),
)
_KEYS = st.sampled_from(
    [
        "type",
        "turn",
        "total_ms",
        "stages",
        "text",
        "final",
        "error",
        "name",
        "ms",
        "segment_id",
        "outcome",
    ]
)
_DATA = st.dictionaries(_KEYS, _JSON | st.sampled_from(["latency", "tool_call", "sound"]))
_EVENTS = st.builds(
    lambda kind, data: {"label": "rtvi-ai", "type": kind, "data": data},
    st.sampled_from(_KINDS),
    _DATA | _JSON,
)


@BY_COUNT
@given(st.binary() | st.binary().map(message) | _JSON.map(json.dumps).map(message))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        decoded = pipecat_frames.decode(data)
    except pipecat_frames.BadFrame:
        return
    if isinstance(decoded, pipecat_frames.Message):
        parse(decoded.body)


@given(st.lists(_EVENTS, max_size=8), st.binary(max_size=400))
@settings(BY_COUNT, max_examples=300 if os.environ.get("CI") else 100)
def test_any_events_make_a_transcript_whose_json_is_valid(
    bodies: list[dict[str, object]], sound: bytes
) -> None:
    events: list[CallEvent] = []
    transcript = CallTranscript(events.append)
    transcript.voiced(0.0)
    for n, body in enumerate(bodies):
        event = parse(body)
        if event is not None:
            transcript.receive(event, n / 2)
        transcript.receive(pipecat_frames.Audio(sound, 24_000), n / 2)
        transcript.tick(n / 2)
    transcript.end()
    for event in events:
        json.loads(json_text.dump(event_json(event)))


@BY_COUNT
@given(_EVENTS)
def test_numbers_of_an_event_are_finite(body: dict[str, object]) -> None:
    match parse(body):
        case AgentLatency(turn, total_ms, stages):
            figures = [turn, total_ms, *(stage.ms for stage in stages)]
            assert all(math.isfinite(figure) and abs(figure) <= 1e9 for figure in figures)
            assert math.isfinite(sum(part.ms for part in MeasuredTurn(1, 1.0).parts))
        case ToolCall(_, ms):
            assert math.isfinite(ms)
        case _:
            pass

"""Start messages of phone providers, as they document them and otherwise; for the properties."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

MULAW, ALAW, PCM = "mulaw", "alaw", "pcm"
RATES = [8000, 16_000, 24_000, 48_000]
LINES = [
    *((provider, MULAW, 8000) for provider in ("twilio", "telnyx", "plivo")),
    ("telnyx", ALAW, 8000),
    *((provider, PCM, rate) for provider in ("exotel", "vonage") for rate in RATES),
]
"""Provider, encoding and samples/s of the lines that callers have."""
NAMES = {
    "telnyx": {MULAW: "PCMU", ALAW: "PCMA"},
    "exotel": {PCM: "audio/x-raw"},
    "twilio": {MULAW: "audio/x-mulaw"},
    "plivo": {MULAW: "audio/x-mulaw"},
}


def start_of(provider: str, encoding: str, rate: object) -> dict[str, Any]:
    """Return a provider's start message, with the fields that it documents."""
    name = NAMES.get(provider, {}).get(encoding, encoding)
    wide = {"encoding": name, "sampleRate": rate, "channels": 1}
    narrow = {"encoding": name, "sample_rate": rate, "channels": 1}
    numbers = {"from": "+12025550123", "to": "+12025550100"}
    match provider:
        case "twilio":
            own = {"accountSid": "AC1", "streamSid": "s", "callSid": "c", "tracks": ["inbound"]}
            start = {**own, "mediaFormat": wide, "customParameters": {"k": "v"}}
            return {"event": "start", "start": start}
        case "telnyx":
            start = {"call_control_id": "c", "media_format": narrow, **numbers}
            return {"event": "start", "stream_id": "s", "start": start}
        case "plivo":
            start = {"streamId": "s", "callId": "c", "tracks": ["inbound"], "mediaFormat": wide}
            return {"event": "start", "start": start}
        case "exotel":
            own = {"account_sid": "AC1", "stream_sid": "s", "call_sid": "c"}
            start = {**own, "media_format": narrow, **numbers}
            return {"event": "start", "start": start}
        case _:
            return {"event": "websocket:connected", "content-type": f"audio/l16;rate={rate}"}


def fields(message: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path to each field of a message."""
    if not isinstance(message, dict):
        return []
    here = [(*path, name) for name in message]
    return here + [deep for name, value in message.items() for deep in fields(value, (*path, name))]


def changed(message: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Return a copy with another value at the path; REMOVED takes the field away."""
    other = copy.deepcopy(message)
    place = other
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    if value is REMOVED:
        del place[path[-1]]
    return other


REMOVED = object()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside),
    max_leaves=6,
)
CODECS = st.sampled_from([
    *("G722", "OPUS", "AMR-WB", "L16", "PCMU", "PCMA", "audio/x-mulaw", "audio/x-alaw"),
    *("audio/x-raw", "audio/l16;rate=11025", "audio/l8; rate=8000", "anonymous"),
])  # fmt: skip
VALUES = JSON | CODECS | st.just(REMOVED)


ODD_RATES = (0, -8000, "8000", 11025, 44_100, 48_000, 10**30, float("inf"), float("nan"))
ODD_FRAMES = ("", "hello", "[]", "1e999", "[" * 100_000, '{"event": ' + "9" * 5000 + "}")


@st.composite
def starts(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Return a provider, and a start message in which one field is any value, or missing."""
    line = draw(st.sampled_from(LINES))
    message = start_of(*line)
    return line[0], changed(message, draw(st.sampled_from(fields(message))), draw(VALUES))

"""Properties of an agent's phone lines; test_telephony.py runs them in an agent's environment."""

from __future__ import annotations

import asyncio
import audioop
import base64
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from internal import telephony
from phone_starts import ALAW, LINES, MULAW, ODD_FRAMES, ODD_RATES, start_of, starts
from pipecat.serializers.base_serializer import FrameSerializer

BY_COUNT = settings(max_examples=100, deadline=None)
PIPELINE_RATE = 16_000


class Socket:
    """Receives these messages, as text."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)

    async def receive_json(self) -> Any:
        return json.loads(self._texts.pop(0)) if self._texts else await asyncio.Event().wait()


def answer_to(*texts: str) -> FrameSerializer | None:
    socket: Any = Socket(*texts)
    return asyncio.run(telephony.serializer_of(socket))


@BY_COUNT
@given(starts())
def test_any_start_begins_a_call_or_is_refused(start: tuple[str, dict[str, Any]]) -> None:
    text = json.dumps(start[1])
    assert isinstance(answer_to(text, text), FrameSerializer | None)


def test_any_rate_is_known_or_refused() -> None:
    for provider, encoding, _ in LINES:
        for rate in ODD_RATES:
            text = json.dumps(start_of(provider, encoding, rate))
            known = rate in ("8000", 48_000)
            assert (answer_to(text, text) is not None) == known, text


def test_other_text_is_no_start() -> None:
    for text in ODD_FRAMES:
        assert answer_to(text, text) is None


def encoded(samples: np.ndarray, encoding: str) -> bytes:
    pcm = samples.astype("<i2").tobytes()
    laws = {MULAW: audioop.lin2ulaw, ALAW: audioop.lin2alaw}
    return laws[encoding](pcm, 2) if encoding in laws else pcm


def message_with(provider: str, audio: bytes, track: str | None) -> str | bytes:
    if provider == "vonage":
        return audio
    media = {"payload": base64.b64encode(audio).decode()} | ({"track": track} if track else {})
    return json.dumps({"event": "media", "media": media})


@BY_COUNT
@given(
    st.sampled_from(LINES),
    st.sampled_from([10, 20, 30, 40, 60]),
    st.sampled_from([None, "inbound", "inbound_track"]),
    st.integers(300, 1500),
)
def test_caller_is_heard_over_any_line(
    line: tuple[str, str, int], frame_ms: int, track: str | None, hertz: int
) -> None:
    provider, encoding, rate = line
    serializer = answer_to(json.dumps(start_of(provider, encoding, rate)))
    assert serializer
    tone = 12_000 * np.sin(2 * np.pi * hertz * np.arange(rate * 600 // 1000) / rate)
    samples = rate * frame_ms // 1000

    async def heard() -> bytes:
        setup: Any = SimpleNamespace(
            audio_in_sample_rate=PIPELINE_RATE, audio_out_sample_rate=PIPELINE_RATE
        )
        await serializer.setup(setup)
        audio = b""
        for begin in range(0, len(tone), samples):
            piece = encoded(tone[begin : begin + samples], encoding)
            frame: Any = await serializer.deserialize(message_with(provider, piece, track))
            audio += frame.audio if frame else b""
        return audio

    sound = np.frombuffer(asyncio.run(heard()), "<i2").astype(float)
    assert 0.5 * PIPELINE_RATE < len(sound) <= 0.6 * PIPELINE_RATE
    spectrum = np.abs(np.fft.rfft(sound[: PIPELINE_RATE // 2]))
    assert abs(2 * int(spectrum.argmax()) - hertz) <= 4
    assert 0.85 < np.sqrt(np.mean(sound[4000:8000] ** 2)) / (12_000 / np.sqrt(2)) < 1.1

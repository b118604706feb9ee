"""Audio arrives in order and at once, whatever the network does to its packets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.rtp import RtpPacket
from av import AudioFrame

from ..opus_rtp import CLOCK, PACKET, DecodingBuffer, OpusTrack, carry_speech

LOUD = 8000


class Tone(MediaStreamTrack):
    """A tone of 400 Hz, in frames of this length at this sample rate."""

    kind = "audio"
    given = 0

    def __init__(self, ms: int, rate: int) -> None:
        super().__init__()
        self._samples, self._rate = rate * ms // 1000, rate

    async def recv(self) -> AudioFrame:
        times = np.arange(self._samples) + self._samples * self.given
        samples = LOUD * np.sin(2 * np.pi * 400 * times / self._rate)
        frame = AudioFrame.from_ndarray(samples.astype(np.int16)[None, :], layout="mono")
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._samples * self.given
        self.given += 1
        return frame


@dataclass(frozen=True)
class SentPacket:
    """A packet's content and time, and the number of frames that it took."""

    data: bytes
    due: int | None
    taken: int


def packed(ms: int, rate: int, count: int) -> list[SentPacket]:
    """Return `count` packets of a tone."""

    async def packets() -> list[SentPacket]:
        tone = Tone(ms, rate)
        track = OpusTrack(tone)
        made = [(await track.recv(), tone.given) for _ in range(count)]
        return [SentPacket(bytes(packet), packet.pts, given) for packet, given in made]

    return asyncio.run(packets())


def decode(*packets: tuple[int, bytes]) -> tuple[list[int], list[AudioFrame]]:
    """Return the numbers of the decoded packets, and their audio."""
    frames: list[AudioFrame] = []
    buffer = DecodingBuffer(frames.append)
    decoded: list[int] = []
    for number, data in packets:
        before = len(frames)
        packet = RtpPacket(sequence_number=number % 65536)
        packet._data = data  # pyright: ignore - as aiortc does
        assert buffer.add(packet) == (False, None)
        decoded += [number] if len(frames) > before else []
    return decoded, frames


@pytest.mark.parametrize(
    ("arriving", "decoded"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 3, 2, 4], [1, 3, 4]),  # one is overtaken
        ([1, 2, 4, 5], [1, 2, 4, 5]),  # one is lost
        ([1, 2, 3, 2, 4], [1, 2, 3, 4]),  # one is repeated
        ([1, 50, 51], [1, 50, 51]),  # many are lost
        ([65534, 65535, 65536, 65537], [65534, 65535, 65536, 65537]),
        ([30_000, 30_001, 5, 6], [30_000, 30_001, 5, 6]),  # a new stream starts
    ],
)
def test_packets_are_decoded_as_they_arrive(arriving: list[int], decoded: list[int]) -> None:
    [sent] = packed(20, 16_000, 1)
    assert decode(*((number, sent.data) for number in arriving))[0] == decoded


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"garbage" * 30])
def test_garbage_is_ignored(garbage: bytes) -> None:
    [sent] = packed(20, 16_000, 1)
    assert decode((1, sent.data), (2, garbage), (3, sent.data))[0] == [1, 3]


@pytest.mark.parametrize(
    ("ms", "rate", "frames"), [(20, 16_000, 1), (10, 24_000, 2), (20, 48_000, 1)]
)
def test_audio_is_sent_at_once_and_arrives_complete(ms: int, rate: int, frames: int) -> None:
    packets = packed(ms, rate, 50)
    assert [sent.taken for sent in packets] == [frames * (n + 1) for n in range(50)]
    assert [sent.due for sent in packets] == [PACKET * n for n in range(50)]
    _, decoded = decode(*((number, sent.data) for number, sent in enumerate(packets)))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in decoded]).astype(float)
    assert len(samples) == CLOCK
    assert (samples[CLOCK // 10 :] ** 2).mean() ** 0.5 == pytest.approx(LOUD / 2**0.5, rel=0.05)


def test_aiortc_has_the_buffer_that_is_replaced() -> None:
    async def check() -> None:
        peer = RTCPeerConnection()
        speech = peer.addTransceiver("audio")
        name = "_RTCRtpReceiver__jitter_buffer"
        assert hasattr(speech.receiver, name)
        carry_speech(speech)
        assert isinstance(getattr(speech.receiver, name), DecodingBuffer)
        offer = await peer.createOffer()
        assert [line for line in offer.sdp.splitlines() if "rtpmap" in line] == [
            "a=rtpmap:96 opus/48000/2"
        ]

    asyncio.run(check())

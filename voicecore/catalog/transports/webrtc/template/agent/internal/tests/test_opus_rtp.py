"""Sound comes in order and at once, whatever the network does to its packets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.rtp import RtpPacket
from av import AudioFrame

from ..opus_rtp import CLOCK, PACKET, Ear, OpusTrack, carry_speech

LOUD = 8000


class Tone(MediaStreamTrack):
    """A tone of 400 Hz, in blocks of so many ms at so many Hz."""

    kind = "audio"
    given = 0

    def __init__(self, ms: int, rate: int) -> None:
        super().__init__()
        self._samples, self._rate = rate * ms // 1000, rate

    async def recv(self) -> AudioFrame:
        times = np.arange(self._samples) + self._samples * self.given
        sound = LOUD * np.sin(2 * np.pi * 400 * times / self._rate)
        block = AudioFrame.from_ndarray(sound.astype(np.int16)[None, :], layout="mono")
        block.sample_rate, block.time_base = self._rate, Fraction(1, self._rate)
        block.pts = self._samples * self.given
        self.given += 1
        return block


@dataclass(frozen=True)
class Sent:
    """What is in a packet, when it is due, and how many blocks were taken until it came."""

    data: bytes
    due: int | None
    taken: int


def packed(ms: int, rate: int, count: int) -> list[Sent]:
    """So many packets of a tone."""

    async def packets() -> list[Sent]:
        tone = Tone(ms, rate)
        track = OpusTrack(tone)
        made = [(await track.recv(), tone.given) for _ in range(count)]
        return [Sent(bytes(packet), packet.pts, given) for packet, given in made]

    return asyncio.run(packets())


def hear(*packets: tuple[int, bytes]) -> tuple[list[int], list[AudioFrame]]:
    """The numbers of the packets that are heard, and the sound."""
    sound: list[AudioFrame] = []
    ear = Ear(sound.append)
    heard: list[int] = []
    for number, data in packets:
        before = len(sound)
        packet = RtpPacket(sequence_number=number % 65536)
        packet._data = data  # pyright: ignore - as aiortc does
        assert ear.add(packet) == (False, None)
        heard += [number] if len(sound) > before else []
    return heard, sound


@pytest.mark.parametrize(
    ("come", "heard"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 3, 2, 4], [1, 3, 4]),  # one was overtaken
        ([1, 2, 4, 5], [1, 2, 4, 5]),  # one is lost
        ([1, 2, 3, 2, 4], [1, 2, 3, 4]),  # one comes twice
        ([1, 50, 51], [1, 50, 51]),  # many are lost
        ([65534, 65535, 65536, 65537], [65534, 65535, 65536, 65537]),
        ([30_000, 30_001, 5, 6], [30_000, 30_001, 5, 6]),  # the stream begins anew
    ],
)
def test_packets_are_heard_as_they_come(come: list[int], heard: list[int]) -> None:
    [sent] = packed(20, 16_000, 1)
    assert hear(*((number, sent.data) for number in come))[0] == heard


@pytest.mark.parametrize("nonsense", [b"", b"\xff", b"garbage" * 30])
def test_what_is_no_sound_does_no_harm(nonsense: bytes) -> None:
    [sent] = packed(20, 16_000, 1)
    assert hear((1, sent.data), (2, nonsense), (3, sent.data))[0] == [1, 3]


@pytest.mark.parametrize(
    ("ms", "rate", "blocks"), [(20, 16_000, 1), (10, 24_000, 2), (20, 48_000, 1)]
)
def test_sound_is_sent_at_once_and_arrives_whole(ms: int, rate: int, blocks: int) -> None:
    packets = packed(ms, rate, 50)
    assert [sent.taken for sent in packets] == [blocks * (n + 1) for n in range(50)]
    assert [sent.due for sent in packets] == [PACKET * n for n in range(50)]
    _, heard = hear(*((number, sent.data) for number, sent in enumerate(packets)))
    sound = np.concatenate([block.to_ndarray()[0] for block in heard]).astype(float)
    assert len(sound) == CLOCK
    assert (sound[CLOCK // 10 :] ** 2).mean() ** 0.5 == pytest.approx(LOUD / 2**0.5, rel=0.05)


def test_aiortc_still_has_the_buffer_that_is_replaced() -> None:
    async def replaced() -> None:
        peer = RTCPeerConnection()
        speech = peer.addTransceiver("audio")
        name = "_RTCRtpReceiver__jitter_buffer"
        assert hasattr(speech.receiver, name)
        carry_speech(speech)
        assert isinstance(getattr(speech.receiver, name), Ear)
        offer = await peer.createOffer()
        assert [line for line in offer.sdp.splitlines() if "rtpmap" in line] == [
            "a=rtpmap:96 opus/48000/2"
        ]

    asyncio.run(replaced())

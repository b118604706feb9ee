"""Sound comes in order and at once, whatever the network does to its packets."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.codecs.opus import OpusEncoder
from aiortc.rtp import RtpPacket
from av import AudioFrame

from packets import InOrder, Primed, hear_at_once


def heard(*numbers: int) -> list[int]:
    """The packets that are given, as these come in; each is 20 ms of sound at 48 kHz."""
    buffer = InOrder()
    given: list[int] = []
    for number in numbers:
        packet = RtpPacket(sequence_number=number % 65536, timestamp=number * 960)
        packet._data = b"sound"  # pyright: ignore - as aiortc does
        _, frame = buffer.add(packet)
        if frame:
            given.append(frame.timestamp // 960)
    return given


@pytest.mark.parametrize(
    ("come", "given"),
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
def test_packets_are_given_as_they_come(come: list[int], given: list[int]) -> None:
    assert heard(*come) == given


class Blocks(MediaStreamTrack):
    """A tone, in blocks of 20 ms."""

    kind = "audio"
    given = 0

    async def recv(self) -> AudioFrame:
        block = AudioFrame("s16", "mono", 320)
        block.planes[0].update(b"\x00\x20" * 320)
        block.sample_rate, block.time_base = 16_000, Fraction(1, 16_000)
        block.pts = 320 * self.given
        self.given += 1
        return block


@pytest.mark.parametrize("primed", [False, True])
def test_each_block_is_sent_before_the_next_comes(primed: bool) -> None:
    async def packets() -> list[int]:
        blocks, encoder = Blocks(), OpusEncoder()
        track = Primed(blocks) if primed else blocks
        sent: dict[int, int] = {}
        while blocks.given < 5:
            frame = await track.recv()
            sent[blocks.given] = len(encoder.encode(frame)[0])
        return list(sent.values())

    # As it comes, aiortc sends a block when it has the next: when this changes, Primed may go.
    assert asyncio.run(packets()) == ([1, 1, 1, 1, 1] if primed else [0, 1, 1, 1, 1])


def test_aiortc_still_has_the_buffer_that_is_replaced() -> None:
    async def replaced() -> None:
        peer = RTCPeerConnection()
        receiver = peer.addTransceiver("audio").receiver
        name = "_RTCRtpReceiver__jitter_buffer"
        assert hasattr(receiver, name)
        hear_at_once(peer)
        assert isinstance(getattr(receiver, name), InOrder)

    asyncio.run(replaced())

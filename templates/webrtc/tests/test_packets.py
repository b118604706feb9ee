"""Sound comes in order and at once, whatever the network does to its packets."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket

from packets import InOrder, hear_at_once


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
        ([1, 2, 3, 4], [1, 2, 3]),
        ([1, 3, 2, 4, 5], [1, 2, 3, 4]),  # one was overtaken
        ([1, 2, 4, 5, 6], [1, 2, 4, 5]),  # one is lost
        ([1, 2, 3, 4, 2, 5], [1, 2, 3, 4]),  # one comes twice
        ([1, 50, 51, 52], [1, 50, 51]),  # many are lost
        ([65534, 65535, 65536, 65537, 65538], [65534, 65535, 65536, 65537]),
        ([30_000, 30_001, 5, 6, 7], [30_000, 30_001, 5, 6]),  # the stream begins anew
    ],
)
def test_a_packet_for_a_packet(come: list[int], given: list[int]) -> None:
    assert heard(*come) == given


def test_aiortc_still_has_the_buffer_that_is_replaced() -> None:
    async def replaced() -> None:
        peer = RTCPeerConnection()
        receiver = peer.addTransceiver("audio").receiver
        name = "_RTCRtpReceiver__jitter_buffer"
        assert hasattr(receiver, name)
        hear_at_once(peer)
        assert isinstance(getattr(receiver, name), InOrder)

    asyncio.run(replaced())

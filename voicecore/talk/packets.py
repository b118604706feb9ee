"""Sound as soon as it is in order.

aiortc holds back four packets of 20 ms, and when one is lost, fifteen from then on: each loss costs
it the three before as well.
"""

from __future__ import annotations

from typing import cast

from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

# Packets that are held back, for one that was overtaken on its way.
HELD = 1
# Packets further back than this are of a stream that began anew; others come too late.
LATE = 100


class InOrder(JitterBuffer):
    """Gives a packet for a packet, the earliest of those it holds; a lost one is not waited for."""

    def __init__(self) -> None:
        super().__init__(capacity=16)
        self._waiting: dict[int, RtpPacket] = {}
        self._last: int | None = None
        """The number of the packet that was given last; numbers begin anew after 65535."""

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet, and give one. The flag is about pictures."""
        number = packet.sequence_number
        if self._last is None:
            self._last = number - LATE
        if (self._last - number) % 65536 < LATE:
            return False, None
        self._waiting[number] = packet
        if len(self._waiting) <= HELD:
            return False, None
        last = self._last
        self._last = min(self._waiting, key=lambda waiting: (waiting - last) % 65536)
        given = self._waiting.pop(self._last)
        sound = cast("bytes", given._data)  # pyright: ignore - aiortc fills it in
        return False, JitterFrame(sound, given.timestamp)


def hear_at_once(peer: RTCPeerConnection) -> None:
    """Let `peer` give its sound without delay; to be called before it connects.

    aiortc has no setting for this. Pipecat does the same for pictures that are too large for it.
    """
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.receiver._RTCRtpReceiver__jitter_buffer = InOrder()  # pyright: ignore - private

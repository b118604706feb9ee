"""Sound as soon as it is there, on its way in and out.

aiortc holds back four packets of 20 ms, and when one is lost, fifteen from then on: each loss costs
it the three before as well. And on its way out sound waits for a resampler to be full.
"""

from __future__ import annotations

from typing import cast

from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from av import AudioFrame

# Packets further back than this are of a stream that began anew; others come too late.
LATE = 100
# Seconds. The resampler keeps 16 samples back, which are 1 ms at 16 kHz.
PRIMER = 0.002


class InOrder(JitterBuffer):
    """Gives each packet as it comes, but those that others have overtaken: none is waited for.

    Packets are 20 ms apart. One that is so late is a rare thing; to expect it would delay them all.
    """

    def __init__(self) -> None:
        super().__init__(capacity=16)
        self._last: int | None = None
        """The number of the packet that was given last; numbers begin anew after 65535."""

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet, and give it. The flag is about pictures."""
        number = packet.sequence_number
        if self._last is not None and (self._last - number) % 65536 < LATE:
            return False, None
        self._last = number
        sound = cast("bytes", packet._data)  # pyright: ignore - aiortc fills it in
        return False, JitterFrame(sound, packet.timestamp)


def hear_at_once(peer: RTCPeerConnection) -> None:
    """Let `peer` give its sound without delay; to be called before it connects.

    aiortc has no setting for this. Pipecat does the same for pictures that are too large for it.
    """
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.receiver._RTCRtpReceiver__jitter_buffer = InOrder()  # pyright: ignore - private


class Primed(MediaStreamTrack):
    """A track of sound behind some silence, which fills what aiortc's resampler keeps back.

    Else each block would lack a few samples to be a packet, and wait for the block behind it.
    """

    kind = "audio"

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self._track = track
        self._samples = 0
        """Of the silence, once it is given."""
        self._next: AudioFrame | None = None

    async def recv(self) -> AudioFrame:
        """The next block."""
        if self._next:
            block, self._next = self._next, None
            return block
        block = cast("AudioFrame", await self._track.recv())  # pyright: ignore - untyped
        given = block
        if not self._samples:
            self._samples = round(PRIMER * block.sample_rate)
            self._next, given = block, AudioFrame("s16", block.layout.name, self._samples)
            given.planes[0].update(bytes(given.planes[0].buffer_size))
            given.sample_rate, given.time_base = block.sample_rate, block.time_base
            given.pts = block.pts
        block.pts = (block.pts or 0) + self._samples
        return given

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._track.stop()

"""Sound in packets: each is on its way at once, and takes little work.

aiortc makes 48 kHz stereo of all sound, by threads; it holds back packets that come, to put them in
order, and sound that goes, until a resampler is full. Here speech is coded as it is, where it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, cast

import numpy as np
from aiortc import MediaStreamTrack, RTCRtpReceiver, RTCRtpTransceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket
from av import AudioCodecContext, AudioFrame, CodecContext, Packet
from av.error import FFmpegError

# What Opus counts in, whatever it carries (RFC 7587, 4.1).
CLOCK = 48_000
# A packet holds 20 ms.
PACKET = CLOCK // 50
# A second. Speech of one channel takes 28 to 40 kb/s (RFC 7587, 3.1.1).
BITS = 48_000
# "lowdelay" looks 2.5 ms ahead instead of 6.5, and takes a third of the work.
OPTIONS = {"application": "lowdelay", "compression_level": "5"}
# Packets further back than this are of a stream that began anew; others come too late.
LATE = 100


def carry_speech(transceiver: RTCRtpTransceiver) -> None:
    """Let `transceiver` hear at once, and send an OpusTrack; to be called before offer or answer.

    aiortc has no setting for how it hears. Pipecat puts another buffer in this place, too, for
    pictures that are too large for it.
    """
    known = RTCRtpReceiver.getCapabilities("audio")
    # Every client has it (RFC 7874, 3).
    opus = [codec for codec in known.codecs if codec.mimeType == "audio/opus"] if known else []
    transceiver.setCodecPreferences(opus)
    receiver = transceiver.receiver

    def give(sound: AudioFrame) -> None:
        receiver.track._queue.put_nowait(sound)  # pyright: ignore - private

    receiver._RTCRtpReceiver__jitter_buffer = Ear(give)  # pyright: ignore - private


class Ear(JitterBuffer):
    """Hears each packet as it comes, but those that others have overtaken: none is waited for.

    Packets are 20 ms apart. One that is so late is a rare thing; to expect it would delay them all.
    """

    def __init__(self, give: Callable[[AudioFrame], None]) -> None:
        super().__init__(capacity=16)
        self._give = give
        self._decoder = opus("r", CLOCK)
        self._last: int | None = None
        """The number of the packet that was heard last; numbers begin anew after 65535."""

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Hear a packet, and leave nothing to aiortc."""
        number = packet.sequence_number
        overtaken = self._last is not None and (self._last - number) % 65536 < LATE
        sound = cast("bytes", packet._data)  # pyright: ignore - aiortc fills it in
        # The decoder takes an empty one for the end.
        if sound and not overtaken:
            self._last = number
            self._hear(Packet(sound))
        return False, None

    def _hear(self, packet: Packet[Any]) -> None:
        try:
            heard = self._decoder.decode(packet)  # pyright: ignore - untyped
        except FFmpegError:  # it is no Opus: whoever sent it is not heard, and does no harm
            return
        for sound in heard:
            self._give(sound)


class OpusTrack(MediaStreamTrack):
    """A track of 16-bit mono sound, at a rate that Opus knows, as packets."""

    kind = "audio"

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self._track = track
        self._encoder: AudioCodecContext | None = None
        self._packets: deque[Packet[Any]] = deque()
        self._samples = 0
        """Of CLOCK, that were sent."""

    async def recv(self) -> Packet[Any]:
        """The next packet."""
        while not self._packets:
            sound = cast("AudioFrame", await self._track.recv())  # pyright: ignore - untyped
            # The encoder takes four times as long for zeros, whose traces are denormal numbers.
            plane = cast("bytearray", sound.planes[0])  # a buffer, which its type does not say
            samples = np.frombuffer(plane, np.int16)
            samples |= 1
            self._encoder = self._encoder or opus("w", sound.sample_rate)
            self._packets += self._encoder.encode(sound)  # pyright: ignore - untyped
        packet = self._packets.popleft()
        packet.pts, packet.time_base = self._samples, Fraction(1, CLOCK)
        self._samples += PACKET
        return packet

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._track.stop()


def opus(mode: Literal["r", "w"], rate: int) -> AudioCodecContext:
    """A decoder ("r"), or an encoder of packets of 20 ms ("w"), of one channel."""
    codec = CodecContext.create("libopus", mode)
    codec.format, codec.layout, codec.sample_rate = "s16", "mono", rate
    if mode == "w":
        codec.bit_rate, codec.options = BITS, OPTIONS
    return codec

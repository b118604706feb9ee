"""Owns Opus over RTP: each packet goes out and is decoded at once, in 16-bit mono.

aiortc converts all audio to 48 kHz stereo, in threads; it delays incoming packets to order them,
and outgoing audio until a resampler is full. Here speech is coded at its own rate, in place.
Generated agents have a copy of this file.
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

# Opus counts in units of 1/48000 s, whatever rate it carries (RFC 7587, 4.1).
CLOCK = 48_000
# A packet holds 20 ms.
PACKET = CLOCK // 50
# Bits per second. Mono speech takes 28 to 40 kb/s (RFC 7587, 3.1.1).
BIT_RATE = 48_000
# "lowdelay" looks 2.5 ms ahead instead of 6.5, and takes a third of the CPU time.
OPTIONS = {"application": "lowdelay", "compression_level": "5"}
# A packet that is further back than this starts a new stream; a closer one is late.
LATE_PACKETS = 100


def carry_speech(transceiver: RTCRtpTransceiver) -> None:
    """Decode packets as they arrive, and allow an OpusTrack to be sent.

    Call it before the offer or answer. aiortc has no setting for the jitter buffer; Pipecat
    replaces it as well, for large video frames.
    """
    known = RTCRtpReceiver.getCapabilities("audio")
    # Every WebRTC client has Opus (RFC 7874, 3).
    opus_codecs = [c for c in known.codecs if c.mimeType == "audio/opus"] if known else []
    transceiver.setCodecPreferences(opus_codecs)
    receiver = transceiver.receiver

    def give(frame: AudioFrame) -> None:
        receiver.track._queue.put_nowait(frame)  # pyright: ignore - private

    receiver._RTCRtpReceiver__jitter_buffer = DecodingBuffer(give)  # pyright: ignore - private


class DecodingBuffer(JitterBuffer):
    """Decodes each packet on arrival, and drops those that later ones have overtaken.

    Packets are 20 ms apart and rarely overtake each other; waiting would delay all of them.
    """

    def __init__(self, give: Callable[[AudioFrame], None]) -> None:
        super().__init__(capacity=16)
        self._give = give
        self._decoder = opus("r", CLOCK)
        self._last: int | None = None
        """Sequence number of the last decoded packet; numbers wrap after 65535."""

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Decode a packet; nothing is left for aiortc to do."""
        number = packet.sequence_number
        overtaken = self._last is not None and (self._last - number) % 65536 < LATE_PACKETS
        data = cast("bytes", packet._data)  # pyright: ignore - set by aiortc
        # The decoder takes an empty packet for the end of the stream.
        if data and not overtaken:
            self._last = number
            self._decode(Packet(data))
        return False, None

    def _decode(self, packet: Packet[Any]) -> None:
        try:
            frames = self._decoder.decode(packet)  # pyright: ignore - untyped
        except FFmpegError:  # not Opus: ignore it
            return
        for frame in frames:
            self._give(frame)


class OpusTrack(MediaStreamTrack):
    """A track of 16-bit mono audio, at a rate that Opus supports, as encoded packets."""

    kind = "audio"

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__()
        self._track = track
        self._encoder: AudioCodecContext | None = None
        self._packets: deque[Packet[Any]] = deque()
        self._sent = 0
        """Samples sent, in units of CLOCK."""

    async def recv(self) -> Packet[Any]:
        """Return the next packet."""
        while not self._packets:
            frame = cast("AudioFrame", await self._track.recv())  # pyright: ignore - untyped
            # The encoder takes four times as long for zeros, which become denormal numbers.
            plane = cast("bytearray", frame.planes[0])  # a buffer, which its type does not say
            samples = np.frombuffer(plane, np.int16)
            samples |= 1
            self._encoder = self._encoder or opus("w", frame.sample_rate)
            self._packets += self._encoder.encode(frame)  # pyright: ignore - untyped
        packet = self._packets.popleft()
        packet.pts, packet.time_base = self._sent, Fraction(1, CLOCK)
        self._sent += PACKET
        return packet

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._track.stop()


def opus(mode: Literal["r", "w"], rate: int) -> AudioCodecContext:
    """Return a mono decoder ("r"), or an encoder of packets of 20 ms ("w")."""
    codec = CodecContext.create("libopus", mode)
    codec.format, codec.layout, codec.sample_rate = "s16", "mono", rate
    if mode == "w":
        codec.bit_rate, codec.options = BIT_RATE, OPTIONS
    return codec

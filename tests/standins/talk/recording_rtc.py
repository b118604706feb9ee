"""Owns a recorder in place of livekit's audio processing: it keeps the frames and changes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class AudioFrame:
    """10 ms of mono audio."""

    pcm: bytearray
    rate: int
    channels: int
    samples: int

    @property
    def data(self) -> memoryview:
        return memoryview(self.pcm)


class RecordingRtc:
    """A stand-in for the module `livekit.rtc`; a processed near frame is inverted."""

    AudioFrame = AudioFrame

    def __init__(self) -> None:
        self.far: list[bytes] = []
        """Frames of the speaker, as `process_reverse_stream` got them."""
        self.delays: list[int] = []
        """Delay that was set for each near frame."""

    def AudioProcessingModule(self, **_: bool) -> RecordingRtc:
        return self

    def process_reverse_stream(self, frame: AudioFrame) -> None:
        assert (frame.rate, frame.samples) == (24_000, 240)
        self.far.append(bytes(frame.pcm))

    def set_stream_delay_ms(self, delay: int) -> None:
        self.delays.append(delay)

    def process_stream(self, frame: AudioFrame) -> None:
        assert (frame.rate, frame.samples) == (16_000, 160)
        frame.pcm[:] = inverted(frame.pcm)


def inverted(pcm: bytes | bytearray) -> bytes:
    return bytes(byte ^ 0xFF for byte in pcm)

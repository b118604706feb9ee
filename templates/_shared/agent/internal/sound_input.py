"""Owns the caller's audio on its way in: one rate, one channel, in real time, without gaps.

Callers send frames of 10 ms or 2 s, at any rate, in bursts, and none while they are muted. Speech
detection and speech-to-text need a steady stream of short pieces: what changes within a long piece
is lost, and what follows a gap is taken for the end of the word before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

import numpy as np
import soxr
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
    SystemFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.transports.base_transport import BaseTransport

RATES, CHANNELS = range(8_000, 192_001), range(1, 9)  # of audio hardware
PIECE_SECONDS = 0.02
# While no one speaks, pieces are longer: to wake the pipeline costs more CPU than to judge a piece.
GULP_SECONDS = 0.1
# Louder audio (RMS) may be the begin of speech: hearing.py requires -45 dB.
QUIET_DB = -50.0
# A shorter pause belongs to what was said before it.
QUIET_SECONDS = 1.0
# Audio that is late or came in one piece is heard faster than real time. Speech-to-text keeps only
# 1 s until the detector, which comes after it, has recognized the start of speech.
SPEED = 4
# A caller who sends pieces, or bursts, of this length is not silent in between.
BURST_SECONDS = 2.0
# Longer than most stalls of a network; nothing for this long is silence.
GAP_SECONDS = 0.6
# Reasons for dropped audio that are told in one call: a client could send any number.
REASONS = 5
# Audio that is further ahead of real time is dropped: a minute takes 2 MB of memory.
AHEAD_SECONDS = 30.0


class BadAudio(Exception):
    """A frame cannot be heard; the message says why, and what to send."""


@dataclass
class AudioDroppedFrame(SystemFrame):
    """Audio of the caller was dropped, for this reason; told once in a call."""

    reason: str


class MonoStream:
    """Converts 16-bit frames to one channel at one rate. Part of a sample waits for its rest."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._format = (rate, 1)
        self._resampler: soxr.ResampleStream | None = None
        self._rest = b""

    def feed(self, audio: bytes, rate: int, channels: int) -> bytes:
        """Return the next audio of the stream. Raises BadAudio."""
        if rate not in RATES:
            raise BadAudio(f"its sample rate is {rate} Hz. Send {RATES[0]} to {RATES[-1]} Hz.")
        if channels not in CHANNELS:
            raise BadAudio(f"it has {channels} channels. Send 1 to {CHANNELS[-1]}.")
        if (rate, channels) != self._format:
            self._format, self._rest, self._resampler = (rate, channels), b"", None
            if rate != self._rate:
                # LQ passes speech; better filters delay it by 60 ms and more.
                self._resampler = soxr.ResampleStream(rate, self._rate, 1, "int16", "LQ")
        audio = self._rest + audio
        whole = len(audio) - len(audio) % (2 * channels)
        self._rest = audio[whole:]
        samples = np.frombuffer(audio[:whole], "<i2")
        if channels > 1:
            samples = np.rint(samples.reshape(-1, channels).mean(axis=1)).astype("<i2")
        return (self._resampler.resample_chunk(samples) if self._resampler else samples).tobytes()


class SteadyStream:
    """The caller's audio in short pieces, each when it is due. Times are in seconds.

    In a quiet stream the pieces are longer. Speech does not wait for them: a loud frame, and what
    waits before it, is due at once.
    """

    def __init__(self, rate: int) -> None:
        self._mono = MonoStream(rate)
        self._bytes_per_second = 2 * rate
        self._piece, self._gulp = (2 * round(rate * each) for each in (PIECE_SECONDS, GULP_SECONDS))
        self._waiting = bytearray()
        self._next = 0.0
        """Time of the next piece that waits."""
        self._quiet_from = 0.0
        """Time from which the stream is quiet, unless it gets loud before."""
        self._until: float | None = None
        """Time until which the caller has sent audio; None before the first frame."""

    def add(self, audio: bytes, rate: int, channels: int, now: float) -> None:
        """Add a frame. Raises BadAudio."""
        if len(self._waiting) > AHEAD_SECONDS * self._bytes_per_second:
            raise BadAudio("it comes faster than real time. Send one second per second.")
        heard = self._mono.feed(audio, rate, channels)
        self._waiting += heard
        if is_loud(heard):
            played = now + len(self._waiting) / self._bytes_per_second / SPEED
            self._quiet_from = played + QUIET_SECONDS
        seconds = len(heard) / self._bytes_per_second
        until = max(now, self._until or now) + seconds
        self._until = min(until, now + max(seconds, BURST_SECONDS))

    def take(self, now: float) -> bytes:
        """Return the piece that is due: audio, or silence in a gap; empty if none is."""
        if self.wait(now) != 0:
            return b""
        size = self._piece if now < self._quiet_from else self._gulp
        seconds = size / self._bytes_per_second
        if not self._waiting:
            self._until = now - GAP_SECONDS + seconds
            return bytes(size)
        self._next = now + seconds / SPEED
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        return piece

    def wait(self, now: float) -> float | None:
        """Return the time until a piece is due; None if that needs another frame."""
        if self.is_behind(now):
            return max(0.0, self._next - now)
        return None if self._until is None else max(0.0, self._until + GAP_SECONDS - now)

    def is_behind(self, now: float) -> bool:
        """Return True if a whole piece waits: of a quiet stream, a long one."""
        return len(self._waiting) >= (1 if now < self._quiet_from else self._gulp)


def is_loud(audio: bytes) -> bool:
    """Return True for 16-bit audio that may be speech."""
    samples = np.frombuffer(audio, "<i2").astype(np.float32)
    quiet = 32768 * 10 ** (QUIET_DB / 20)
    return bool(np.dot(samples, samples) > quiet**2 * len(samples))


class SoundInput(FrameProcessor):
    """Replaces a transport's audio by a steady stream."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)  # a queue would wake another task for each frame
        self._behind, self._one_at_a_time = asyncio.Event(), asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the sample rate of the pipeline."""
        await super().setup(setup)
        self._rate = setup.audio_in_sample_rate
        self._stream = SteadyStream(self._rate)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take audio, and pass other frames on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self._add(frame)
            return
        if isinstance(frame, (EndFrame, CancelFrame)):
            await self._stop()
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._task = self.create_task(self._keep_time())

    async def cleanup(self) -> None:
        """Stop, however the pipeline ends."""
        await super().cleanup()
        await self._stop()

    async def _add(self, frame: InputAudioRawFrame) -> None:
        now = time.monotonic()
        first = self._stream.wait(now) is None
        try:
            self._stream.add(frame.audio, frame.sample_rate, frame.num_channels, now)
        except BadAudio as bad:
            if str(bad) not in self._told and len(self._told) < REASONS:
                self._told.add(str(bad))
                await self.push_frame(AudioDroppedFrame(str(bad)))
        if self._task:
            await self._play()
        if first or self._stream.is_behind(now):
            self._behind.set()

    async def _play(self) -> None:
        async with self._one_at_a_time:
            while piece := self._stream.take(time.monotonic()):
                await self.push_frame(InputAudioRawFrame(piece, self._rate, num_channels=1))

    async def _keep_time(self) -> None:
        """Play what no frame pushes out: the rest of a burst, and silence in a gap."""
        while True:
            self._behind.clear()
            await self._play()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stream.wait(time.monotonic())):
                    await self._behind.wait()

    async def _stop(self) -> None:
        if self._task:
            await self.cancel_task(self._task)
            self._task = None


class HeardTransport(BaseTransport):
    """A transport whose caller may send audio in any shape; a base for the transports."""

    def input(self) -> FrameProcessor:
        """Return the caller's audio as a steady stream, and the transport's other frames."""
        return Pipeline([super().input(), SoundInput()])  # pyright: ignore[reportAbstractUsage]

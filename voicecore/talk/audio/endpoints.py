"""Owns the interfaces of a call's two audio endpoints: a microphone, and a speaker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from voicecore.talk.audio import pcm
from voicecore.talk.audio.jitter_buffer import JitterBuffer


@dataclass(frozen=True)
class DuplexBlock:
    """BLOCK_MS of a call in both directions.

    What was played may be some ms shorter or longer: two audio devices never run in step.
    """

    said: bytes
    """The user's voice, PCM at SPEECH_RATE."""
    played: bytes
    """The agent's voice, PCM at VOICE_RATE."""


class AudioSource(Protocol):
    """Source of the user's voice; its clock is the clock of the call."""

    def open(self) -> None:
        """Begin. Raises NoAudioDevice or MicrophoneDenied."""

    def blocks(self) -> AsyncIterator[DuplexBlock]:
        """Yield the call block by block, in real time, without end."""
        ...

    def close(self) -> None:
        """End."""


class AudioSink(Protocol):
    """Destination of the agent's voice."""

    def open(self) -> None:
        """Begin. Raises NoAudioDevice or MicrophoneDenied."""

    def played(self) -> bytes:
        """Return what was played since the last call, PCM at VOICE_RATE. Any thread may call."""
        ...

    def close(self) -> None:
        """End."""


class SilentSpeaker:
    """A sink without a device: it plays one block of the jitter buffer whenever it is asked."""

    def __init__(self, jitter_buffer: JitterBuffer) -> None:
        self._jitter_buffer = jitter_buffer

    def open(self) -> None:
        """Do nothing: it has no device."""

    def played(self) -> bytes:
        """Return the next block, PCM at VOICE_RATE."""
        return self._jitter_buffer.pull(pcm.VOICE_BLOCK)

    def close(self) -> None:
        """Do nothing: it has no device."""

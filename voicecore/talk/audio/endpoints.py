"""What a call is held with: a mouth, which keeps the time, and an ear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from voicecore.talk.audio import pcm
from voicecore.talk.audio.jitter_buffer import Playback


@dataclass(frozen=True)
class Moment:
    """BLOCK_MS of a call: what was said at SPEECH_RATE, and what was heard at VOICE_RATE.

    What was heard may be shorter or longer by some ms: two sound devices never run in step.
    """

    said: bytes
    heard: bytes


class Mouth(Protocol):
    """Where what the user says comes from; its clock is the clock of the call."""

    def open(self) -> None:
        """Begin; raises if there is no such device."""

    def moments(self) -> AsyncIterator[Moment]:
        """The call, moment by moment in real time, for ever."""
        ...

    def close(self) -> None:
        """End."""


class Ear(Protocol):
    """Where what the agent says goes."""

    def open(self) -> None:
        """Begin; raises if there is no such device."""

    def heard(self) -> bytes:
        """What has sounded since the last call, PCM at VOICE_RATE. May be called by any thread."""
        ...

    def close(self) -> None:
        """End."""


class SilentEar:
    """An ear without a loudspeaker: hears one block of a Playback whenever it is asked."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    def open(self) -> None:
        """Nothing to open."""

    def heard(self) -> bytes:
        """The next block, at VOICE_RATE."""
        return self._playback.pull(pcm.VOICE_BLOCK)

    def close(self) -> None:
        """Nothing to close."""

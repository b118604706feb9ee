"""Owns detecting that the microphone does not hear the speaker, as with a headset.

AEC3 expects an echo until it has gone without one for long. Until then it takes a user's
interruption for an echo, and the agent does not hear it. Without an echo, nothing must be removed.
"""

from __future__ import annotations

from collections import deque

from voicecore.talk.audio import pcm

_SPEAKING_DB = -45.0
"""The agent's voice is above this while it speaks."""
_QUIET_DB = -60.0
"""A microphone in a quiet room is below this; an echo that disturbs is well above."""
_ABOVE_FLOOR_DB = 6.0
"""A microphone in a noisy room counts as quiet up to this much above its noise floor."""
_REACH = 400 // pcm.BLOCK_MS
"""Blocks within which an echo arrives: speaker and microphone buffers, and the room."""
_PROOF = 500 // pcm.BLOCK_MS
"""Blocks of the agent's speech without an echo after which an echo path is ruled out."""
_DOUBT = 1500 // pcm.BLOCK_MS
"""Blocks of sound at the microphone, in step with the agent's, after which there may be an echo
path again. An interruption is shorter: the agent falls silent within half a second."""


class EchoPath:
    """The way from speaker to microphone, as the last seconds show it."""

    def __init__(self) -> None:
        self._far: deque[bool] = deque(maxlen=2 * _REACH)
        self._near: deque[float] = deque(maxlen=2 * _REACH)
        self._floor: deque[float] = deque(maxlen=3000 // pcm.BLOCK_MS)
        self._silent = 0
        self._loud = 0

    def exists(self, played: bytes, near: bytes) -> bool:
        """Return whether `near` may hold an echo: True until disproved.

        Both are the same BLOCK_MS.
        """
        level = pcm.decibels(pcm.rms(near))
        self._far.append(pcm.decibels(pcm.rms(played)) > _SPEAKING_DB)
        self._near.append(level)
        if not any(self._far):
            self._floor.append(level)
        if self._agent_spoke():
            self._judge(max(self._near) < self._quiet_level(), level < self._quiet_level())
        return self._silent < _PROOF

    def _agent_spoke(self) -> bool:
        """Return whether there was speech so long ago that its echo would have arrived by now."""
        return sum(list(self._far)[:_REACH]) > 0.6 * _REACH

    def _judge(self, no_echo: bool, quiet_now: bool) -> None:
        if no_echo:
            self._silent, self._loud = self._silent + 1, 0
        elif not quiet_now:
            self._loud += 1
            if self._loud >= _DOUBT:
                self._silent = 0

    def _quiet_level(self) -> float:
        floor = min(self._floor, default=_QUIET_DB)
        return max(_QUIET_DB, floor + _ABOVE_FLOOR_DB)

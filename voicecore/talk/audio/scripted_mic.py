"""A voice without a microphone: silence in real time, and into it the clips that are to be said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicecore.talk.audio import pcm
from voicecore.talk.audio.endpoints import Ear, Moment
from voicecore.talk.audio.sound_files import Clip


class ScriptedMouth:
    """Keeps time by the event loop's clock; late blocks are made up for, none is left out."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self._clip: Clip | None = None
        self._position = 0
        self._said = asyncio.Event()

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    async def say(self, clip: Clip) -> None:
        """Speak the clip from the next block on; returns when its last block was taken."""
        self._clip, self._position = clip, 0
        self._said.clear()
        await self._said.wait()

    async def moments(self) -> AsyncIterator[Moment]:
        """One every BLOCK_MS, for ever: each is handed out when its last sample is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += pcm.BLOCK_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield Moment(self._next(), self._ear.heard())

    @property
    def voiced_ago(self) -> float | None:
        """Seconds from the last voiced sample of the block just handed out to the block's end.

        None: the block holds nothing of a clip's speech. Exact, for a clip's samples are known.
        """
        if self._clip is None:
            return None
        start = self._position - pcm.SPEECH_BLOCK
        voiced = min(self._clip.voiced, self._position)
        return (self._position - voiced) / pcm.SPEECH_RATE if voiced > start else None

    def _next(self) -> bytes:
        if self._clip is None or self._said.is_set():
            self._clip = None
            return pcm.SILENT_BLOCK
        start, self._position = self._position, self._position + pcm.SPEECH_BLOCK
        if 2 * self._position >= len(self._clip.sound):
            self._said.set()
        return self._clip.sound[2 * start : 2 * self._position]

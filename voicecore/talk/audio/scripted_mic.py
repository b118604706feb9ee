"""Owns the microphone of a scripted call: silence in real time, and clips spoken into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicecore.talk.audio import pcm
from voicecore.talk.audio.endpoints import AudioSink, DuplexBlock
from voicecore.talk.audio.sound_files import Clip


class ScriptedMicrophone:
    """Keeps time with the event loop's clock; late blocks are caught up, none is skipped."""

    def __init__(self, speaker: AudioSink) -> None:
        self._speaker = speaker
        self._clip: Clip | None = None
        self._position = 0
        self._said = asyncio.Event()

    def open(self) -> None:
        """Do nothing: it has no device."""

    def close(self) -> None:
        """Do nothing: it has no device."""

    async def say(self, clip: Clip) -> None:
        """Speak the clip, beginning with the next block; return when its last block was taken."""
        self._clip, self._position = clip, 0
        self._said.clear()
        await self._said.wait()

    async def blocks(self) -> AsyncIterator[DuplexBlock]:
        """Yield a block every BLOCK_MS without end, each when its last sample is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += pcm.BLOCK_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield DuplexBlock(self._next(), self._speaker.played())

    @property
    def voiced_ago(self) -> float | None:
        """Seconds from the last voiced sample of the last block to the block's end.

        None if the block holds no speech of a clip. Exact, because a clip's samples are known.
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
        if 2 * self._position >= len(self._clip.audio):
            self._said.set()
        return self._clip.audio[2 * start : 2 * self._position]

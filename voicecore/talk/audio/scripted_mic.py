"""Owns the microphone of a scripted call: silence in real time, and clips spoken into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from voicecore.talk.audio import pcm
from voicecore.talk.audio.clips import Clip, ClipBlock
from voicecore.talk.audio.endpoints import AudioSink, DuplexBlock

_SILENCE = ClipBlock(pcm.SILENT_BLOCK, 0)


class ScriptedMicrophone:
    """Keeps time with the event loop's clock; late blocks are caught up, none is skipped."""

    def __init__(self, speaker: AudioSink) -> None:
        self._speaker = speaker
        self._clip: Iterator[ClipBlock] = iter(())
        self._block = _SILENCE
        self._said = asyncio.Event()

    def open(self) -> None:
        """Do nothing: it has no device."""

    def close(self) -> None:
        """Do nothing: it has no device."""

    async def say(self, clip: Clip) -> None:
        """Speak the clip, beginning with the next block; return when its last block was taken."""
        self._clip = clip.blocks()
        self._said.clear()
        await self._said.wait()

    async def blocks(self) -> AsyncIterator[DuplexBlock]:
        """Yield a block every BLOCK_MS without end, each when its last sample is over."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += pcm.BLOCK_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._block = next(self._clip, _SILENCE)
            if self._block is _SILENCE:
                self._said.set()
            yield DuplexBlock(self._block.audio, self._speaker.played())

    @property
    def voiced_ago(self) -> float | None:
        """Seconds from the last voiced sample of the last block to the block's end.

        None if the block holds no voice of a clip. Exact, because a clip's samples are known.
        """
        voiced = self._block.voiced
        return (pcm.SPEECH_BLOCK - voiced) / pcm.SPEECH_RATE if voiced else None

"""A caller with a microphone, and ears that remember what they heard when."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from voicecore.talk.transports.pipecat_frames import Audio, Interruption, Message, decode, encode

_RATE = 16000
_FRAME_SECONDS = 0.02
_FRAME_BYTES = int(_RATE * _FRAME_SECONDS) * 2
_PAUSE_SECONDS = 1  # of silence, after which every model knows that the caller has finished
SAMPLES = Path(__file__).parents[3] / "voicecore/samples"


@dataclass(frozen=True)
class Heard:
    """Something that came from the agent; `at` is monotonic seconds."""

    what: Audio | Message | Interruption
    at: float


class Caller:
    """Its microphone is always open; one who `mutes` opens it to speak, for a pause longer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, mutes: bool = False) -> None:
        self._socket = socket
        self._mutes = mutes
        self._to_say = b""
        self._changed = asyncio.Event()
        self.heard: list[Heard] = []

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Says client-ready, then sends sound and takes what comes until the block ends."""
        about = {"version": "2.2.0", "about": {"library": "voicecore"}}
        await self.send({"id": "1", "type": "client-ready", "data": about})
        tasks = [asyncio.create_task(self._microphone()), asyncio.create_task(self._ear())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, message: Mapping[str, Any]) -> None:
        body = Message({"label": "rtvi-ai", **message})
        await self._socket.send_bytes(encode(body))

    async def say(self, sample: str) -> float:
        """Speaks a WAV of voicecore/samples in real time; returns when it ended."""
        with wave.open(str(SAMPLES / f"{sample}.wav")) as sound:
            assert (sound.getframerate(), sound.getnchannels()) == (_RATE, 1)
            self._to_say += sound.readframes(sound.getnframes())
        if self._mutes:
            self._to_say += bytes(_RATE * _PAUSE_SECONDS * 2)
        while self._to_say:
            await self.something_new()
        return time.monotonic()

    async def until(self, done: Callable[[], Any], seconds: float = 15) -> Any:
        """Waits until `done` returns something true, and returns it."""
        try:
            async with asyncio.timeout(seconds):
                while not (result := done()):
                    await self.something_new()
        except TimeoutError:
            raise AssertionError(f"waited {seconds} s; heard {self.summary()}") from None
        return result

    async def something_new(self) -> None:
        """Waits for the next frame in either direction."""
        self._changed.clear()
        await self._changed.wait()

    def messages(self, kind: str, data_type: str | None = None) -> list[dict[str, Any]]:
        """The data of all RTVI messages of this type (of server-messages: with this inner type)."""
        bodies = [h.what.body for h in self.heard if isinstance(h.what, Message)]
        found = [body.get("data") or {} for body in bodies if body.get("type") == kind]
        return [data for data in found if data_type in (None, data.get("type"))]

    def speech_seconds(self, since: float = 0.0) -> float:
        """How much sound, silence left out, came since a moment (monotonic seconds)."""
        total = 0.0
        for heard in self.heard:
            if isinstance(heard.what, Audio) and heard.at >= since:
                samples = np.frombuffer(heard.what.pcm, np.int16).astype(np.float64)
                if len(samples) and np.sqrt(np.mean(samples**2)) > 200:
                    total += len(samples) / heard.what.rate
        return total

    def sound(self, since: float = 0.0) -> bytes:
        """The sound that came since a moment (monotonic seconds), as it came: mono PCM16."""
        frames = (h.what.pcm for h in self.heard if isinstance(h.what, Audio) and h.at >= since)
        return b"".join(frames)

    def interruptions(self) -> int:
        return sum(isinstance(h.what, Interruption) for h in self.heard)

    def summary(self) -> str:
        kinds = [h.what.body.get("type") for h in self.heard if isinstance(h.what, Message)]
        return f"{self.speech_seconds():.1f} s of speech, messages {kinds}"

    async def _microphone(self) -> None:
        due = time.monotonic()
        while True:
            frame, self._to_say = self._to_say[:_FRAME_BYTES], self._to_say[_FRAME_BYTES:]
            if frame or not self._mutes:
                sound = Audio(frame.ljust(_FRAME_BYTES, b"\0"), _RATE)
                await self._socket.send_bytes(encode(sound))
            self._changed.set()
            due += _FRAME_SECONDS
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def _ear(self) -> None:
        async for message in self._socket:
            frame = decode(message.data)
            if frame:
                self.heard.append(Heard(frame, time.monotonic()))
                self._changed.set()

"""A caller that speaks samples, and records the frames from the agent with their times."""

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
_PAUSE_SECONDS = 1  # after this much silence every model ends the caller's turn
SAMPLES = Path(__file__).parents[3] / "voicecore/samples"
EIGHT = Path(__file__).parents[2] / "fixtures/eight.wav"
"""A short answer: 0.46 s of Piper's voice."""


@dataclass(frozen=True)
class Received:
    """A frame from the agent; `at` is in monotonic seconds."""

    frame: Audio | Message | Interruption
    at: float


class Caller:
    """Sends audio all the time; with `mutes`, only speech and a pause after it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, mutes: bool = False) -> None:
        self._socket = socket
        self._mutes = mutes
        self._unsent = b""
        self._changed, self._over = asyncio.Event(), asyncio.Event()
        self.received: list[Received] = []

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Send client-ready, then send audio and receive frames until the block ends."""
        about = {"version": "2.2.0", "about": {"library": "voicecore"}}
        await self.send({"id": "1", "type": "client-ready", "data": about})
        tasks = [asyncio.create_task(self._microphone()), asyncio.create_task(self._receive())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send(self, message: Mapping[str, Any]) -> None:
        body = Message({"label": "rtvi-ai", **message})
        await self._socket.send_bytes(encode(body))

    async def say(self, sample: str | Path) -> float:
        """Speak a WAV in real time, or one of voicecore/samples; return the time of its end."""
        path = sample if isinstance(sample, Path) else SAMPLES / f"{sample}.wav"
        with wave.open(str(path)) as sample_file:
            assert (sample_file.getframerate(), sample_file.getnchannels()) == (_RATE, 1)
            self._unsent += sample_file.readframes(sample_file.getnframes())
        if self._mutes:
            self._unsent += bytes(_RATE * _PAUSE_SECONDS * 2)
        while self._unsent:
            await self.next_frame()
        return time.monotonic()

    async def until(self, done: Callable[[], Any], seconds: float = 60) -> Any:
        """Wait until `done` returns something true, and return it."""
        try:
            async with asyncio.timeout(seconds):
                while not (result := done()):
                    await self.next_frame()
        except TimeoutError:
            raise AssertionError(f"waited {seconds} s; received {self.summary()}") from None
        return result

    async def closed(self) -> int | None:
        """Wait until the agent has hung up; return the code that closed the socket."""
        await asyncio.wait_for(self._over.wait(), 60)
        return self._socket.close_code

    async def next_frame(self) -> None:
        """Wait for the next frame in either direction."""
        self._changed.clear()
        await self._changed.wait()

    def messages(self, kind: str, data_type: str | None = None) -> list[dict[str, Any]]:
        """Return the data of RTVI messages; `data_type` is the inner type of server-messages."""
        bodies = [r.frame.body for r in self.received if isinstance(r.frame, Message)]
        found = [body.get("data") or {} for body in bodies if body.get("type") == kind]
        return [data for data in found if data_type in (None, data.get("type"))]

    def speech_seconds(self, since: float = 0.0) -> float:
        """Return the seconds of audio, without silence, since a time in monotonic seconds."""
        total = 0.0
        for received in self.received:
            if isinstance(received.frame, Audio) and received.at >= since:
                samples = np.frombuffer(received.frame.pcm, np.int16).astype(np.float64)
                if len(samples) and np.sqrt(np.mean(samples**2)) > 200:
                    total += len(samples) / received.frame.rate
        return total

    def sound(self, since: float = 0.0) -> bytes:
        """Return the audio since a time in monotonic seconds, as received: mono PCM16."""
        return b"".join(
            r.frame.pcm for r in self.received if isinstance(r.frame, Audio) and r.at >= since
        )

    def interruptions(self) -> int:
        return sum(isinstance(r.frame, Interruption) for r in self.received)

    def summary(self) -> str:
        kinds = [r.frame.body.get("type") for r in self.received if isinstance(r.frame, Message)]
        return f"{self.speech_seconds():.1f} s of speech, messages {kinds}"

    async def _microphone(self) -> None:
        due = time.monotonic()
        while True:
            frame, self._unsent = self._unsent[:_FRAME_BYTES], self._unsent[_FRAME_BYTES:]
            if frame or not self._mutes:
                audio = Audio(frame.ljust(_FRAME_BYTES, b"\0"), _RATE)
                await self._socket.send_bytes(encode(audio))
            self._changed.set()
            due += _FRAME_SECONDS
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def _receive(self) -> None:
        async for message in self._socket:
            frame = decode(message.data)
            if frame:
                self.received.append(Received(frame, time.monotonic()))
                self._changed.set()
        self._over.set()

"""A caller for tests: talks to the agent like a client, in real time, over any transport."""

from __future__ import annotations

import array
import asyncio
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

RATE = 16_000  # Hz, the rate of audio to the agent
FRAME_BYTES = 640  # 20 ms of mono PCM16
FRAME_SECONDS = 0.02
LOUD = 500  # of 32767; quieter is silence
TIMEOUT_SECONDS = 60


class Caller:
    """One connection: the audio to send, and all that was received. `send` sends a message."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self.messages: list[dict[str, Any]] = []
        self.spoken = bytearray()
        """The agent's speech, PCM16."""
        self._send = send
        self._to_say = b""

    def receive(self, message: dict[str, Any]) -> None:
        """Keep a message of the agent, if it is an RTVI message."""
        if message.get("label") == "rtvi-ai":
            self.messages.append(message)

    def texts(self, kind: str) -> list[str]:
        """Return the texts of the agent's messages of this type, like user-transcription."""
        return [
            message["data"]["text"]
            for message in self.messages
            if message["type"] == kind and message["data"].get("spoken", True)
        ]

    def say(self, path: Path) -> None:
        """Speak a 16 kHz mono WAV file into the call."""
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            self._to_say += file.readframes(file.getnframes())

    def next_frame(self) -> bytes:
        """Return the next 20 ms of speech, or silence."""
        chunk, self._to_say = self._to_say[:FRAME_BYTES], self._to_say[FRAME_BYTES:]
        return chunk.ljust(FRAME_BYTES, b"\0")

    async def type(self, text: str) -> None:
        """Send typed text."""
        await self.send("send-text", {"content": text})

    async def ready(self) -> None:
        """Tell the agent that the client is ready."""
        await self.send("client-ready", {"version": "2.2.0", "about": {"library": "tests"}})

    async def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send an RTVI message."""
        await self._send({"label": "rtvi-ai", "type": kind, "id": kind, "data": data})

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for `condition`; fail with `what` is missing, and all messages."""
        for _ in range(TIMEOUT_SECONDS * 50):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {what} after {TIMEOUT_SECONDS} s; got {self.messages}")

    async def answered(self, count: int = 1) -> None:
        """Wait until the agent has finished speaking `count` times."""
        await self.until(
            lambda: [m["type"] for m in self.messages].count("bot-stopped-speaking") >= count,
            "answer",
        )

    def heard_speech(self) -> bool:
        """Return True if the agent's audio is not just silence."""
        samples = array.array("h", self.spoken[: len(self.spoken) // 2 * 2])
        return max(map(abs, samples), default=0) > LOUD

"""A caller for the tests: talks to the agent over /ws as a client does, in real time."""

from __future__ import annotations

import array
import asyncio
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pipecat.frames.protobufs.frames_pb2 import Frame  # pyright: ignore[reportAttributeAccessIssue]
from websockets.asyncio.client import ClientConnection, connect

RATE = 16_000  # Hz, what the agent hears
FRAME_BYTES = 640  # 20 ms of mono PCM16
LOUD = 500  # of 32767: quieter than this is silence
PATIENCE_SECONDS = 20


class Caller:
    """One connection: what was sent to it, and what came back."""

    def __init__(self, socket: ClientConnection) -> None:
        self.messages: list[dict[str, Any]] = []
        self.spoken = bytearray()
        """The agent's speech, PCM16."""
        self._socket = socket
        self._to_say = b""

    def said(self, kind: str) -> list[str]:
        """The texts of the agent's messages of this kind: user-transcription or bot-output."""
        return [
            message["data"]["text"]
            for message in self.messages
            if message["type"] == kind and message["data"].get("spoken", True)
        ]

    def say(self, path: Path) -> None:
        """Speak a 16 kHz mono WAV into the call."""
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            self._to_say += file.readframes(file.getnframes())

    async def type(self, text: str) -> None:
        """Send a typed text."""
        await self.send("send-text", {"content": text})

    async def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send an RTVI message."""
        message = {"label": "rtvi-ai", "type": kind, "id": kind, "data": data}
        frame = Frame()
        frame.message.data = json.dumps(message)
        await self._socket.send(frame.SerializeToString())

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for `condition`; fails with `what` was awaited and with all that came."""
        for _ in range(PATIENCE_SECONDS * 50):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {what} after {PATIENCE_SECONDS} s; got {self.messages}")

    async def answered(self, kinds: int = 1) -> None:
        """Wait until the agent has finished speaking for the `kinds`-th time."""
        await self.until(
            lambda: [m["type"] for m in self.messages].count("bot-stopped-speaking") >= kinds,
            "answer",
        )

    def was_heard(self) -> bool:
        """Whether the agent's audio is more than silence."""
        samples = array.array("h", self.spoken[: len(self.spoken) // 2 * 2])
        return max(map(abs, samples), default=0) > LOUD

    async def speak(self) -> None:
        """The microphone: what there is to say, and silence, 50 frames a second."""
        while True:
            chunk, self._to_say = self._to_say[:FRAME_BYTES], self._to_say[FRAME_BYTES:]
            frame = Frame()
            frame.audio.audio = chunk.ljust(FRAME_BYTES, b"\0")
            frame.audio.sample_rate = RATE
            frame.audio.num_channels = 1
            await self._socket.send(frame.SerializeToString())
            await asyncio.sleep(0.02)

    async def listen(self) -> None:
        """The speaker: keep all that comes."""
        async for data in self._socket:
            frame = Frame.FromString(data)
            if frame.WhichOneof("frame") == "audio":
                self.spoken += frame.audio.audio
            elif frame.WhichOneof("frame") == "message":
                self.messages.append(json.loads(frame.message.data))


@asynccontextmanager
async def call(port: int, session_id: str) -> AsyncIterator[Caller]:
    """Connect to the agent on `port`, in this session, until the block ends."""
    header = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session_id}
    async with connect(f"ws://127.0.0.1:{port}/ws", additional_headers=header) as socket:
        caller = Caller(socket)
        tasks = [asyncio.create_task(caller.speak()), asyncio.create_task(caller.listen())]
        try:
            await caller.send("client-ready", {"version": "2.2.0", "about": {"library": "tests"}})
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

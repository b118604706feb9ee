"""Calls the agent over WebSocket, with Pipecat's frames at /ws."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipecat.frames.protobufs.frames_pb2 import Frame  # pyright: ignore - made at run time
from websockets.asyncio.client import ClientConnection, connect

from .caller import FRAME_SECONDS, RATE, Caller


@asynccontextmanager
async def call(port: int, session_id: str) -> AsyncIterator[Caller]:
    """Connect to the agent on `port`, in this session, until the block ends."""
    header = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session_id}
    async with connect(f"ws://127.0.0.1:{port}/ws", additional_headers=header) as socket:

        async def send(message: dict[str, Any]) -> None:
            frame = Frame()
            frame.message.data = json.dumps(message)
            await socket.send(frame.SerializeToString())

        caller = Caller(send)
        tasks = [asyncio.create_task(part(socket, caller)) for part in (speak, listen)]
        try:
            await caller.ready()
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def speak(socket: ClientConnection, caller: Caller) -> None:
    """Send 50 frames per second."""
    while True:
        frame = Frame()
        frame.audio.audio = caller.next_frame()
        frame.audio.sample_rate = RATE
        frame.audio.num_channels = 1
        await socket.send(frame.SerializeToString())
        await asyncio.sleep(FRAME_SECONDS)


async def listen(socket: ClientConnection, caller: Caller) -> None:
    """Keep all audio and messages."""
    async for data in socket:
        frame = Frame.FromString(data)
        if frame.WhichOneof("frame") == "audio":
            caller.spoken += frame.audio.audio
        elif frame.WhichOneof("frame") == "message":
            caller.receive(json.loads(frame.message.data))

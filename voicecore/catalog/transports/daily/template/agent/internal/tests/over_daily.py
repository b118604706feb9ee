"""Calls the agent in a room of the fake Daily."""

from __future__ import annotations

import array
import asyncio
import json
import os
import secrets
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from .caller import FRAME_SECONDS, Caller
from .daily_cloud import DOMAIN, Room, Seat, daily_cloud

STANDIN = Path(__file__).with_name("standin")

# One fake Daily for all tests of a run.
RUN = ExitStack()
CLOUD = RUN.enter_context(daily_cloud())
ENVIRONMENT = {
    **CLOUD.variables,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(STANDIN), os.environ.get("PYTHONPATH")])),
}


class RoomCaller:
    """A participant of a room, who hears and speaks like a Caller."""

    speaking: list[RoomCaller] = []

    def __init__(self, room: Room) -> None:
        self.caller = Caller(self._send)
        self.room = room

    def hear(self, sound: bytes, rate: int) -> None:
        self.caller.spoken += sound

    def read(self, message: Any) -> None:
        self.caller.receive(message)

    async def speak(self) -> None:
        """Send 50 frames per second; the agent hears all callers of a room as one."""
        self.speaking.append(self)
        try:
            while True:
                callers = [other for other in self.speaking if other.room is self.room]
                if self.room.agent and callers[0] is self:
                    self.room.agent.say(mixed([other.caller.next_frame() for other in callers]))
                await asyncio.sleep(FRAME_SECONDS)
        finally:
            self.speaking.remove(self)

    async def _send(self, message: dict[str, Any]) -> None:
        assert isinstance(self.room.agent, Seat), "the agent has left the room"
        self.room.agent.tell("on_app_message", message, "caller")


def mixed(frames: list[bytes]) -> bytes:
    """Return the sum of these frames."""
    samples = zip(*(array.array("h", frame) for frame in frames), strict=True)
    return array.array("h", (max(-32768, min(32767, sum(all))) for all in samples)).tobytes()


def create_room(name: str, **properties: Any) -> tuple[str, str]:
    """Return the URL of a room, and a token for it."""
    room = CLOUD.rooms.setdefault(name, Room(properties))
    token = secrets.token_urlsafe(8)
    CLOUD.tokens[token] = {"room_name": name, "exp": time.time() + 600}
    assert not room.closed
    return DOMAIN + name, token


async def invoke(port: int, session_id: str, data: Any) -> dict[str, Any]:
    """Return the agent's answer to a request to join."""
    header = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session_id}
    body = json.dumps({"type": "join", "data": data}).encode()
    url = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(url, body, header | {"Content-Type": "application/json"})

    def ask() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer)

    return await asyncio.to_thread(ask)


@asynccontextmanager
async def call(port: int, session_id: str) -> AsyncIterator[Caller]:
    """Talk to the agent on `port`, in a room, until the block ends."""
    url, token = create_room(session_id.lower().rstrip("-"))
    answer = await invoke(port, session_id, {"room_url": url, "token": token})
    assert answer == {"status": "joined"}, answer
    participant = RoomCaller(CLOUD.rooms[url.removeprefix(DOMAIN)])
    name = CLOUD.enter(url, token, participant)
    speaking = asyncio.create_task(participant.speak())
    try:
        await participant.caller.ready()
        yield participant.caller
    finally:
        speaking.cancel()
        CLOUD.leave(url, name)

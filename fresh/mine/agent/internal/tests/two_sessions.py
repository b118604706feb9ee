"""Loads the agent as platform V2 does, continues it in two processes, and prints what each finds.

test_snapshot.py runs it, because only a process without other threads can be copied.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import threading
import time
import uuid
from typing import Any

from .. import logs
from ..app import Agent, load_for_snapshot
from ..session_start import per_session

HOURS_LATER = 10 * 3600

# Objects that a session must not share with others: each has keys, connections, timers, or the
# state of one caller's audio.
PER_SESSION = {
    "aiohttp.client.ClientSession",
    "aiortc.rtcpeerconnection.RTCPeerConnection",
    "av.audio.resampler.AudioResampler",
    "av.codec.context.CodecContext",
    "botocore.client.BaseClient",
    "botocore.credentials.Credentials",
    "httpx._client.BaseClient",
    "pipecat.audio.resamplers.base_audio_resampler.BaseAudioResampler",
    "pipecat.audio.turn.base_turn_analyzer.BaseTurnAnalyzer",
    "pipecat.audio.vad.vad_analyzer.VADAnalyzer",
    "pipecat.utils.base_object.BaseObject",
    "socket.socket",
}


@per_session
def shared() -> str:
    """Return an id that the whole session shares."""
    return uuid.uuid4().hex


def captured() -> list[str]:
    """Return the types of the objects in memory that a snapshot must not contain."""
    gc.unfreeze()
    found: set[str] = set()
    for thing in gc.get_objects():
        types = {f"{base.__module__}.{base.__qualname__}" for base in type(thing).__mro__}
        if types & PER_SESSION:
            found.add(f"{type(thing).__module__}.{type(thing).__qualname__}")
    return sorted(found)


async def ask(agent: Agent, method: str, path: str) -> Any:
    """Return the agent's answer to a request, without a socket."""
    messages: list[Any] = [{"type": "http.request", "body": b"{}"}]
    answer = bytearray()

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        answer.extend(message.get("body", b""))

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await agent(scope, receive, send)
    return json.loads(answer)


async def session(agent: Agent) -> dict[str, Any]:
    """Return what a session finds: from its first request on, and how idle /ping says it is."""
    restored = await ask(agent, "GET", "/ping")
    await ask(agent, "POST", "/invocations")
    begun = await ask(agent, "GET", "/ping")
    numpy = sys.modules.get("numpy.random")
    assert shared() == shared(), "not kept in the session"
    return {
        "random": random.random(),
        "numpy": numpy.random() if numpy else uuid.uuid4().hex,
        "uuid": uuid.uuid4().hex,
        "shared": shared(),
        "key": os.environ["A_KEY"],
        "idle": [time.time() - ping["time_of_last_update"] for ping in (restored, begun)],
    }


def later(agent: Agent) -> None:
    """Continue the agent hours later, as a session, and end."""
    now, uptime = time.time, time.monotonic
    time.time = lambda: now() + HOURS_LATER
    time.monotonic = lambda: uptime() + HOURS_LATER
    print(json.dumps(asyncio.run(session(agent))), flush=True)
    os._exit(0)


def main() -> None:
    """Print a line about the snapshot, and one about each session."""
    logs.set_up()
    agent = Agent()
    load_for_snapshot(agent)
    snapshot = {
        "captured": captured(),
        "threads": [thread.name for thread in threading.enumerate()],
        "shared": shared(),
        "key": os.environ["A_KEY"],
    }
    assert shared() != snapshot["shared"], "kept before the session"
    print(json.dumps(snapshot), flush=True)
    for _ in range(2):
        process = os.fork()
        if process == 0:
            later(agent)
        os.waitpid(process, 0)
    os._exit(0)


if __name__ == "__main__":
    main()

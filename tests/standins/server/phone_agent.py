"""A small agent that takes calls in the frames of all five providers; keys control it.

It greets with a tone. Key 1 stops the audio, as an interruption does; key 2 plays a short tone and
ends the call; key 3 crashes the agent. It writes every incoming frame, with the number of its
connection, to the file in HEARD.
"""

import base64
import json
import math
import os
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

HEARD = Path(os.environ["HEARD"]).open("a", buffering=1)  # noqa: SIM115 - open until the process ends
RATE = 8000
connections = count(1)


def tone(seconds: float, rate: int) -> bytes:
    steps = range(int(seconds * rate))
    samples = (int(8000 * math.sin(2 * math.pi * 440 * step / rate)) for step in steps)
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def ulaw(seconds: float) -> bytes:
    """Return a square wave of 400 Hz."""
    return (bytes([0x90] * 10 + [0x10] * 10) * 400 * 2)[: int(seconds * RATE)]


def frames(start: dict[str, Any], seconds: float) -> list[str | bytes]:
    """Return a tone of this length in messages of 20 ms."""
    inner = start.get("start", {})
    if start["event"] == "websocket:connected":
        rate = int(start["content-type"].partition("rate=")[2])
        sound, size = tone(seconds, rate), 2 * rate // 50
        return [sound[n : n + size] for n in range(0, len(sound), size)]
    if "stream_sid" in inner:
        rate = int(inner["media_format"]["sample_rate"])
        sound, size = tone(seconds, rate), 2 * rate // 50
    else:
        sound, size = ulaw(seconds), 160
    texts = [base64.b64encode(sound[n : n + size]).decode() for n in range(0, len(sound), size)]
    if "streamId" in inner:
        kind = {"contentType": "audio/x-mulaw", "sampleRate": RATE}
        stream = {"streamId": inner["streamId"]}
        messages = [
            {"event": "playAudio", "media": {**kind, "payload": t}, **stream} for t in texts
        ]
    else:
        messages = [{"event": "media", **ids(start), "media": {"payload": t}} for t in texts]
    return [json.dumps(frame) for frame in messages]


def ids(start: dict[str, Any]) -> dict[str, str]:
    inner = start["start"]
    return {name: inner[name] for name in ("streamSid", "stream_sid") if name in inner}


def clear(start: dict[str, Any]) -> str:
    if start["event"] == "websocket:connected":
        return json.dumps({"action": "clear"})
    if "streamId" in start["start"]:
        return json.dumps({"event": "clearAudio", "streamId": start["start"]["streamId"]})
    return json.dumps({"event": "clear", **ids(start)})


async def websocket(request: web.Request) -> web.WebSocketResponse:
    caller = web.WebSocketResponse(max_msg_size=0)
    await caller.prepare(request)
    number, start = next(connections), {}

    async def play(seconds: float) -> None:
        for frame in frames(start, seconds):
            await (caller.send_bytes(frame) if isinstance(frame, bytes) else caller.send_str(frame))

    async for message in caller:
        if message.type is not WSMsgType.TEXT:
            HEARD.write(json.dumps([number, len(message.data)]) + "\n")
            continue
        frame = json.loads(message.data)
        HEARD.write(json.dumps([number, frame]) + "\n")
        if frame["event"] in ("start", "websocket:connected"):
            start = frame
            await play(0.5)
        key = frame.get("digit") or frame.get("dtmf", {}).get("digit")
        if key == "1":
            await caller.send_str(clear(start))
        elif key == "2":
            await play(0.5)
            break
        elif key == "3":
            os._exit(1)
    await caller.close()
    return caller


async def ping(_: web.Request) -> web.Response:
    return web.json_response({"status": "Healthy"})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/ping", ping)
    app.router.add_get("/ws", websocket)
    web.run_app(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, shutdown_timeout=0.1
    )

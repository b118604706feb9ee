"""Call an agent as `voicecore talk` does, play a tone, and print JSON lines with the events.

Runs inside a namespace: python caller.py URL KEY SECONDS FILE. It writes the sound that comes back
to FILE, as 16-bit mono PCM at the rate in the line "heard".
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.standins.nat.tone import tone
from voicecore.console.errors import VoicecoreError
from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Connected, Delivery, Disconnected, IcePath
from voicecore.talk.session_client import SessionClient
from voicecore.talk.transports.pipecat_frames import Audio
from voicecore.talk.transports.webrtc import GRANTS, WebRTCConnection

_BEFORE, _AFTER = 0.3, 1.2  # seconds of silence before the tone, and for the answer after it


async def main(url: str, key: str, seconds: float) -> bytes:
    """Return the sound that came back."""
    began = time.monotonic()
    connected = asyncio.Event()
    sound: list[bytes] = []
    rates: set[int] = set()

    def write(event: str, **fields: Any) -> None:
        at = round(time.monotonic() - began, 3)
        print(json.dumps({"event": event, "at": at, **fields}), flush=True)

    def deliver(news: Delivery) -> None:
        match news:
            case Audio():
                samples = np.frombuffer(news.pcm, "<i2").reshape(-1, news.channels)
                sound.append(samples[:, 0].tobytes())
                rates.add(news.rate)
            case IcePath():
                write("path", local=news.local, remote=news.remote, ms=news.ms)
            case Connected():
                write("connected", resumed=news.resumed)
                connected.set()
            case Disconnected():
                write("disconnected", reason=news.reason)
            case _:
                pass

    async def speak() -> None:
        await connected.wait()
        before, after = (bytes(2 * round(s * pcm.SPEECH_RATE)) for s in (_BEFORE, seconds + _AFTER))
        said = before + tone(seconds, pcm.SPEECH_RATE) + after
        start, step = time.monotonic(), 2 * pcm.SPEECH_BLOCK
        for number in range(len(said) // step):
            await asyncio.sleep(start + number * pcm.BLOCK_MS / 1000 - time.monotonic())
            block = said[number * step : (number + 1) * step]
            connection.say(SpeechBlock(block, voiced=any(block)))

    async with aiohttp.ClientSession() as http:
        server = SessionClient(http, url, key, "webrtc", GRANTS)
        connection = WebRTCConnection(server, deliver)
        holding, speaking = asyncio.create_task(connection.run()), asyncio.create_task(speak())
        await asyncio.wait({holding, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            speaking.cancel()
            error = holding.exception()
            if not isinstance(error, VoicecoreError):
                raise error or AssertionError("the agent hung up")
            write("refused", message=error.message, hint=error.hint)
        else:
            holding.cancel()
            await asyncio.wait({holding})
        if connection.session:
            await server.stop(connection.session)
    write("heard", rate=max(rates, default=0))
    return b"".join(sound)


if __name__ == "__main__":
    url, key, seconds, file = sys.argv[1:]
    Path(file).write_bytes(asyncio.run(main(url, key, float(seconds))))

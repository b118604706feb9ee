"""A caller on the line: the provider's end of one media socket, with what it heard kept."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Any

import aiohttp

from voicecore.talk.audio import pcm, vad
from voicecore.talk.telephone.g711 import Line
from voicecore.talk.telephone.media_frames import (
    WIRES,
    BadFrame,
    Clear,
    Count,
    Mark,
    Play,
    Press,
    Request,
    Stream,
)
from voicecore.talk.telephone.phone_call import Leg

LATE_SECONDS = 7.0
"""Later than a bridge waits for the first message (5 s)."""


class Mistake(Enum):
    """What may go wrong at the start of a media stream."""

    NONE = auto()
    MEDIA_FIRST = auto()
    """Sound comes before any start."""
    NO_JSON = auto()
    BAD_START = auto()
    """A start without the ids of call and stream."""
    NO_START = auto()
    """The socket opens, and nothing comes."""
    LATE_START = auto()
    WRONG_RATE = auto()
    """The start tells another sample rate than was asked for."""
    WRONG_CALL = auto()
    """The start is of another call than the one that was answered."""
    DROPPED = auto()
    """The connection is gone right after its handshake, without a word."""


class Handset:
    """Says silence, or what it is told to, every 20 ms, from `async with` to its end."""

    def __init__(
        self,
        provider: str,
        stream: Stream,
        socket: aiohttp.ClientWebSocketResponse,
        mistake: Mistake = Mistake.NONE,
    ) -> None:
        self.provider, self.stream, self.socket, self.mistake = provider, stream, socket, mistake
        self.wire = WIRES[provider]
        self.sound = bytearray()
        """All that the agent said, as heard: PCM at 8 kHz."""
        self.chunks: list[tuple[float, int]] = []
        """When a message of sound came (loop time, in s), and how many ms it held."""
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        """Why the provider refused something that the server sent."""
        self.over = asyncio.Event()
        self._line = Line(self.wire)
        self._leg = Leg(self.wire, stream, socket, self._take)
        self._words: deque[bytes] = deque()
        self._said = asyncio.Event()
        self._news = asyncio.Event()
        self._last_voice = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Handset:
        self._tasks = [asyncio.create_task(self._hold())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def cleared(self) -> int:
        """How often the agent fell silent for the caller."""
        return sum(isinstance(request, Clear) for request in self.requests)

    @property
    def marks(self) -> list[str]:
        """The names of the marks that the server sent."""
        return [request.name for request in self.requests if isinstance(request, Mark)]

    @property
    def voice_seconds(self) -> float:
        """How long the agent has spoken, in stretches of 20 ms that can be heard."""
        step = 2 * 8000 // 50
        stretches = (self.sound[n : n + step] for n in range(0, len(self.sound), step))
        return 0.02 * sum(pcm.rms(bytes(stretch)) > 300 for stretch in stretches)

    async def say(self, sound: bytes) -> None:
        """Speak PCM at 16 kHz; returns when its last sample is on the way."""
        block = 2 * pcm.SPEECH_BLOCK
        sound += bytes(-len(sound) % block)
        self._said.clear()
        self._words.extend(sound[n : n + block] for n in range(0, len(sound), block))
        await self._said.wait()

    def press(self, keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self._leg.press(key)

    async def hears(self, seconds: float, within: float = 60.0) -> None:
        """Wait until the agent has spoken for so long in all."""
        await self._until(lambda: self.voice_seconds >= seconds, within)

    async def is_cleared(self, times: int = 1, within: float = 60.0) -> None:
        """Wait until the agent has fallen silent for the caller so often."""
        await self._until(lambda: self.cleared >= times, within)

    async def silence(self, seconds: float = 1.0, within: float = 60.0) -> None:
        """Wait until the agent has said nothing for so long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            # Nothing happens when nothing is said: only time tells.
            while (rest := self._last_voice + seconds - loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(rest)

    async def hung_up_on(self, within: float = 60.0) -> int | None:
        """Wait until the server closes the socket; its close code."""
        async with asyncio.timeout(within):
            await self.over.wait()
        return self.socket.close_code

    async def hang_up(self) -> None:
        """The caller puts the receiver down."""
        if not self.over.is_set():
            await self._leg.hang_up()
            self.over.set()

    def drop(self) -> None:
        """End the connection without a word, as a network does."""
        connection = self.socket._response.connection
        if connection and connection.transport:
            connection.transport.abort()

    async def _hold(self) -> None:
        try:
            for message in await self._opening():
                send = self.socket.send_str if isinstance(message, str) else self.socket.send_bytes
                await send(message)
            speaking = asyncio.create_task(self._speak())
            self._tasks.append(speaking)
            await self._leg.hold()
        except (aiohttp.ClientError, ConnectionError):
            pass  # the server has gone: that is what tests look at
        finally:
            self.over.set()
            self._news.set()

    async def _opening(self) -> Sequence[str | bytes]:
        true = list(self.wire.opening(self.stream))
        first = self.wire.media(self.stream, Count(2, 0, 0), bytes(self._chunk_bytes))
        match self.mistake:
            case Mistake.MEDIA_FIRST:
                return [first, first, *true]
            case Mistake.NO_JSON:
                return ["Hello, is this the agent?"]
            case Mistake.NO_START:
                await asyncio.get_running_loop().create_future()
            case Mistake.LATE_START:
                await asyncio.sleep(LATE_SECONDS)
            case Mistake.DROPPED:
                self.drop()
                return []
            case Mistake.BAD_START:
                return [*true[:-1], _changed(true[-1], _without_ids)]
            case Mistake.WRONG_RATE:
                return [*true[:-1], _changed(true[-1], _with_another_rate)]
            case Mistake.WRONG_CALL:
                return [*true[:-1], true[-1].replace(self.stream.call, "another" * 5)]
            case Mistake.NONE:
                pass
        return true

    @property
    def _chunk_bytes(self) -> int:
        return self.wire.bytes_per_ms * self.wire.chunk_ms

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += pcm.BLOCK_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            block = self._words.popleft() if self._words else pcm.SILENT_BLOCK
            self._leg.say(self._line.said(block))
            if not self._words:
                self._said.set()

    def _take(self, request: Request | BadFrame) -> None:
        match request:
            case BadFrame():
                self.complaints.append(str(request))
                return
            case Play(sound):
                heard = self._line.heard(sound).pcm
                self.sound += heard
                now = asyncio.get_running_loop().time()
                self.chunks.append((now, len(sound) // self.wire.bytes_per_ms))
                if vad.first_sound_sample(heard, 8000) is not None:
                    self._last_voice = now
            case Mark() | Clear() | Press():
                pass
        self.requests.append(request)
        self._news.set()

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        async with asyncio.timeout(within):
            while not condition() and not self.over.is_set():
                self._news.clear()
                await self._news.wait()
        assert condition(), f"the line is dead; complaints: {self.complaints}"


def _changed(message: str, change: Callable[[Any], Any]) -> str:
    return json.dumps(change(json.loads(message)), separators=(",", ":"))


def _without_ids(value: Any) -> Any:
    """The message without all that names anything: what a half-written client sends."""
    if not isinstance(value, dict):
        return value
    kept = ("event", "start", "content-type", "mediaFormat", "media_format")
    return {key: _without_ids(inner) for key, inner in value.items() if key in kept}


def _with_another_rate(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_another_rate(inner) for key, inner in value.items()}
    others = {8000: 16000, "8000": "16000", "audio/l16;rate=16000": "audio/l16;rate=8000"}
    return others.get(value, value) if isinstance(value, (int, str)) else value

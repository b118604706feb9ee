"""A caller: the provider's end of one media socket, which keeps what it heard."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Any

import aiohttp

from voicecore.catalog.phones.media import (
    BadMessage,
    Clear,
    Mark,
    MediaCommand,
    MediaProtocol,
    MediaStream,
    Play,
    Press,
    StreamPosition,
)
from voicecore.talk.audio import pcm, vad
from voicecore.talk.telephone.g711 import PhoneLine
from voicecore.talk.telephone.media_leg import MediaLeg

LATE_SECONDS = 7.0
"""Longer than a bridge waits for the first message (5 s)."""


class Mistake(Enum):
    """A mistake at the start of a media stream."""

    NONE = auto()
    MEDIA_FIRST = auto()
    """Audio comes before the start."""
    NO_JSON = auto()
    BAD_START = auto()
    """The start has no IDs of call and stream."""
    NO_START = auto()
    """The socket opens, and no message comes."""
    LATE_START = auto()
    WRONG_CALL = auto()
    """The start names another call than the one that was answered."""
    DROPPED = auto()
    """The connection breaks right after its handshake."""


class Handset:
    """Sends speech or silence in real time while its `async with` block runs."""

    def __init__(
        self,
        media: MediaProtocol,
        stream: MediaStream,
        socket: aiohttp.ClientWebSocketResponse,
        mistake: Mistake = Mistake.NONE,
    ) -> None:
        self.media, self.stream, self.socket, self.mistake = media, stream, socket, mistake
        self.audio = bytearray()
        """The agent's voice as heard: PCM at 8 kHz."""
        self.chunks: list[tuple[float, int]] = []
        """Arrival (loop time, in s) and length (in ms) of each message of audio."""
        self.commands: list[MediaCommand] = []
        self.complaints: list[str] = []
        """Reasons for which the provider refused messages of the server."""
        self.over = asyncio.Event()
        self._line = PhoneLine(self.media)
        self._leg = MediaLeg(self.media, stream, socket, self._receive)
        self._speech: deque[bytes] = deque()
        self._said = asyncio.Event()
        self._changed = asyncio.Event()
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
        """Number of clears: how often the caller interrupted the agent."""
        return sum(isinstance(command, Clear) for command in self.commands)

    @property
    def marks(self) -> list[str]:
        """Names of the marks that the server sent."""
        return [command.name for command in self.commands if isinstance(command, Mark)]

    @property
    def voice_seconds(self) -> float:
        """Length of the agent's speech in seconds: its audible blocks of 20 ms."""
        step = 2 * 8000 // 50
        blocks = (self.audio[n : n + step] for n in range(0, len(self.audio), step))
        return 0.02 * sum(pcm.rms(bytes(block)) > 300 for block in blocks)

    async def say(self, audio: bytes) -> None:
        """Speak PCM at 16 kHz; return when its last sample was sent."""
        block = 2 * pcm.SPEECH_BLOCK
        audio += bytes(-len(audio) % block)
        self._said.clear()
        self._speech.extend(audio[n : n + block] for n in range(0, len(audio), block))
        await self._said.wait()

    def press(self, keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            self._leg.press(key)

    async def hears(self, seconds: float, within: float = 60.0) -> None:
        """Wait until the agent has spoken for this long in total."""
        await self._until(lambda: self.voice_seconds >= seconds, within)

    async def is_cleared(self, times: int = 1, within: float = 60.0) -> None:
        """Wait until the caller has interrupted the agent this often."""
        await self._until(lambda: self.cleared >= times, within)

    async def silence(self, seconds: float = 1.0, within: float = 60.0) -> None:
        """Wait until the agent has been silent for this long."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within):
            # Silence is not an event: only time passes.
            while (rest := self._last_voice + seconds - loop.time()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(rest)

    async def hung_up_on(self, within: float = 60.0) -> int | None:
        """Wait until the server closes the socket; return its close code."""
        async with asyncio.timeout(within):
            await self.over.wait()
        return self.socket.close_code

    async def hang_up(self) -> None:
        """Hang up, as the caller."""
        if not self.over.is_set():
            await self._leg.hang_up()
            self.over.set()

    def drop(self) -> None:
        """Break the connection, as a network failure does."""
        connection = self.socket._response.connection
        if connection and connection.transport:
            connection.transport.abort()

    async def _hold(self) -> None:
        try:
            for message in await self._opening():
                if isinstance(message, str):
                    await self.socket.send_str(message)
                else:
                    await self.socket.send_bytes(message)
            speaking = asyncio.create_task(self._speak())
            self._tasks.append(speaking)
            await self._leg.hold()
        except (aiohttp.ClientError, ConnectionError):
            pass  # the server closed the connection, which tests check
        finally:
            self.over.set()
            self._changed.set()

    async def _opening(self) -> Sequence[str | bytes]:
        messages = list(self.media.opening(self.stream))
        position = StreamPosition(2, 0, 0)
        first = self.media.media(self.stream, position, bytes(self.media.chunk_bytes))
        match self.mistake:
            case Mistake.MEDIA_FIRST:
                return [first, first, *messages]
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
                return [*messages[:-1], _edited(messages[-1], _without_ids)]
            case Mistake.WRONG_CALL:
                return [*messages[:-1], messages[-1].replace(self.stream.call, "another" * 5)]
            case Mistake.NONE:
                pass
        return messages

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += pcm.BLOCK_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
            block = self._speech.popleft() if self._speech else pcm.SILENT_BLOCK
            self._leg.say(self._line.to_provider(block))
            if not self._speech:
                self._said.set()

    def _receive(self, command: MediaCommand | BadMessage) -> None:
        match command:
            case BadMessage():
                self.complaints.append(str(command))
                return
            case Play(audio):
                heard = self._line.to_caller(audio).pcm
                self.audio += heard
                now = asyncio.get_running_loop().time()
                self.chunks.append((now, self.media.milliseconds(audio)))
                if vad.first_audible_sample(heard, 8000) is not None:
                    self._last_voice = now
            case Mark() | Clear() | Press():
                pass
        self.commands.append(command)
        self._changed.set()

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        async with asyncio.timeout(within):
            while not condition() and not self.over.is_set():
                self._changed.clear()
                await self._changed.wait()
        assert condition(), f"the call is over; complaints: {self.complaints}"


def _edited(message: str, change: Callable[[Any], Any]) -> str:
    return json.dumps(change(json.loads(message)), separators=(",", ":"))


def _without_ids(value: Any) -> Any:
    """Return the message without the fields that name anything."""
    if not isinstance(value, dict):
        return value
    kept = ("event", "start", "content-type", "mediaFormat", "media_format")
    return {key: _without_ids(inner) for key, inner in value.items() if key in kept}

"""Owns one media socket, held as its provider holds it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

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
from voicecore.talk.first_done import first_done

_OUTBOX_MAX = 3000
"""Messages for a server that does not read: a minute of audio, then the oldest are dropped."""
_MARKS_MAX = 1000
"""Marks that wait for their audio; more are ignored."""


class MediaLeg:
    """One media socket.

    Calls `receive` with everything the server sends: what it asks for, or why the provider
    refuses it.
    """

    def __init__(
        self,
        media: MediaProtocol,
        stream: MediaStream,
        socket: aiohttp.ClientWebSocketResponse,
        receive: Callable[[MediaCommand | BadMessage], None],
    ) -> None:
        self._media, self._stream, self._socket = media, stream, socket
        self._receive_command = receive
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        self._outbox: deque[str | bytes] = deque(maxlen=_OUTBOX_MAX)
        self._work = asyncio.Event()
        self._messages, self._chunks = 1, 0
        self._played_until = 0.0  # loop time when the caller has heard everything sent so far
        self._marks: deque[tuple[str, asyncio.TimerHandle]] = deque()

    async def open(self) -> None:
        """Send the messages that precede any audio."""
        for text in self._media.opening(self._stream):
            await self._socket.send_str(text)

    def say(self, audio: bytes) -> None:
        """Send audio, in the encoding of the stream."""
        self._pending += audio
        size = self._media.chunk_bytes
        while len(self._pending) >= size:
            chunk = bytes(self._pending[:size])
            del self._pending[:size]
            self._post(self._media.media(self._stream, self._position(), chunk))
            self._chunks += 1

    def press(self, key: str) -> None:
        """Send a key."""
        self._post(self._media.key(self._stream, self._position(), key))

    async def hold(self) -> None:
        """Carry both directions until the socket closes."""
        await first_done(self._receive(), self._send())

    async def hang_up(self) -> None:
        """End the stream, as a caller who hangs up does; do nothing if the server ended it."""
        for _, timer in self._marks:
            timer.cancel()
        if not self._socket.closed:
            stop = self._media.stop(self._stream, self._position())
            if stop:
                await self._socket.send_str(stop)
            await self._socket.close()

    def _position(self) -> StreamPosition:
        milliseconds = self._chunks * self._media.chunk_ms
        return StreamPosition(self._messages + 1, self._chunks, milliseconds)

    def _post(self, message: str | bytes) -> None:
        self._messages += 1
        self._outbox.append(message)
        self._work.set()

    async def _send(self) -> None:
        try:
            while True:
                while self._outbox:
                    message = self._outbox.popleft()
                    if isinstance(message, str):
                        await self._socket.send_str(message)
                    else:
                        await self._socket.send_bytes(message)
                self._work.clear()
                await self._work.wait()
        except (aiohttp.ClientError, OSError):
            # Wait for the receiver: only it gets the close code of the other end.
            await self._loop.create_future()

    async def _receive(self) -> None:
        kinds = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        while (message := await self._socket.receive()).type in kinds:
            await asyncio.sleep(0)  # a flood must not keep Ctrl-C and the audio waiting
            try:
                command = self._media.read(self._stream, message.data)
            except BadMessage as bad:
                self._receive_command(bad)
            else:
                self._follow(command)
                self._receive_command(command)

    def _follow(self, command: MediaCommand) -> None:
        now = self._loop.time()
        match command:
            case Play(audio):
                seconds = self._media.milliseconds(audio) / 1000
                self._played_until = max(now, self._played_until) + seconds
            case Mark(name) if len(self._marks) < _MARKS_MAX:
                timer = self._loop.call_at(max(now, self._played_until), self._reach_mark)
                self._marks.append((name, timer))
            case Clear():
                self._played_until = now
                self._clear()
            case Mark() | Press():
                pass

    def _reach_mark(self) -> None:
        name, _ = self._marks.popleft()
        self._post(self._media.played(self._stream, self._position(), name))

    def _clear(self) -> None:
        for _, timer in self._marks:
            timer.cancel()
        while self._marks and self._media.marks_when_cleared:
            self._reach_mark()
        self._marks.clear()
        cleared = self._media.cleared(self._stream, self._position())
        if cleared:
            self._post(cleared)

"""Owns the relay of WebSocket frames between a client and its agent, within AgentCore's limits.

Each connection takes two tasks, a frame takes none; its bytes are forwarded unchanged. If a
receiver does not read, the relay stops reading from its sender, so memory stays bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import WebSocketError, WSMessage, WSMsgType

from voicecore.local.limits import FRAME_BYTES_MAX, FRAMES_PER_SECOND_MAX
from voicecore.local.sessions.live_session import CloseReason

# aiohttp refuses a message of exactly its limit, and counts the whole message: a fragmented message
# may have 64 KB in total here, in AWS in each fragment.
MESSAGE_LIMIT = FRAME_BYTES_MAX + 1
_BURST = 2 * FRAMES_PER_SECOND_MAX
_CLOSE_SECONDS = 2.0  # real; a peer that does not read must not delay the end of the session


class WebSocketPeer(Protocol):
    """One end of the relay: aiohttp's server socket or its client socket."""

    @property
    def close_code(self) -> int | None:
        """The code that closed the connection; None while it is open."""
        ...

    async def receive(self) -> Any:
        """Return the next frame."""
        ...

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Send one frame."""
        ...

    async def pong(self, message: bytes = b"") -> None:
        """Answer a ping."""
        ...

    async def close(self, *, code: int = 1000, message: bytes = b"") -> bool:
        """Close the connection."""
        ...


class FrameMeter:
    """Counts the frames of one direction against 250 a second.

    AWS does not say where its seconds begin, so it admits everything that has at most 250 frames
    in each second of some clock: 500 at once, where two seconds meet, and 250 a second after that.
    A silence of more than a second admits the frames of its time, too: this process may have been
    stopped, as on a laptop that sleeps, and finds them all at once.
    """

    __slots__ = ("_last", "_left")

    def __init__(self) -> None:
        self._left = float(_BURST)
        self._last: float | None = None

    def admits(self, seconds: float) -> bool:
        """Count a frame at `seconds`; return False if it exceeds the limit."""
        gap = 0.0 if self._last is None else seconds - self._last
        self._last = seconds
        earned = gap * FRAMES_PER_SECOND_MAX
        if gap > 1.0:
            self._left = _BURST + earned
        else:  # what a silence admitted beyond a burst is lost at the rate at which it was earned
            self._left = max(min(self._left + earned, _BURST), self._left - earned)
        self._left -= 1
        return self._left >= 0


async def relay(
    client: WebSocketPeer,
    agent: WebSocketPeer,
    touch: Callable[[], None],
    ended: asyncio.Future[CloseReason],
    seconds: float,
) -> CloseReason:
    """Relay until a side closes or breaks a limit, `ended` is set, or `seconds` (real) have passed.

    Every frame calls `touch`, control frames too: AgentCore resets the idle timer for them
    (developer guide, runtime-get-started-websocket).
    """
    inward = asyncio.create_task(_pump(client, agent, touch, "client"))
    outward = asyncio.create_task(_pump(agent, client, touch, "agent"))
    try:
        await asyncio.wait(
            {inward, outward, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        first = next((done for done in (ended, inward, outward) if done.done()), None)
        timeout = CloseReason(1001, "stream duration limit of 60 minutes")
        close = first.result() if first else timeout
    finally:
        inward.cancel()
        outward.cancel()
    await asyncio.gather(_close(client, close), _close(agent, close))
    return close


async def _pump(
    source: WebSocketPeer, sink: WebSocketPeer, touch: Callable[[], None], sender: str
) -> CloseReason:
    meter = FrameMeter()
    while True:
        message: WSMessage = await source.receive()
        kind = message.type
        try:
            if kind is WSMsgType.BINARY or kind is WSMsgType.TEXT:
                if not meter.admits(time.monotonic()):
                    limit = f"{FRAMES_PER_SECOND_MAX} frames/s"
                    return CloseReason(1008, f"the {sender} sent more than {limit}")
                touch()
                await sink.send_frame(message.data, kind)
            elif kind is WSMsgType.PING:
                touch()
                with suppress(ConnectionError):  # the next frame received carries the reason
                    await source.pong(message.data)
            elif kind is WSMsgType.PONG:
                touch()
            elif isinstance(message.data, WebSocketError):  # aiohttp has closed with its code
                return _closed_by(sender, message.data.code, str(message.data))
            else:
                return _closed_by(sender, source.close_code, str(message.extra or ""))
        except ConnectionError:
            # The sink is gone. The other task reads from it and will receive its close frame.
            return await asyncio.get_running_loop().create_future()


def _closed_by(sender: str, code: int | None, reason: str) -> CloseReason:
    """Return the close for the other side: 1005, 1006 and 1015 cannot be sent (RFC 6455, 7.4.1)."""
    if code == 1009:
        return CloseReason(1009, f"the {sender} sent a frame of more than {FRAME_BYTES_MAX} bytes")
    if code == 1005:
        return CloseReason(1000, reason)
    if code in (None, 1006, 1015):
        return CloseReason(1011 if sender == "agent" else 1001, f"the {sender} went away")
    return CloseReason(code or 1000, reason)


async def _close(socket: WebSocketPeer, close: CloseReason) -> None:
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.close(code=close.code, message=close.reason.encode()[:120])

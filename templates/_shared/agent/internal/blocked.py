"""Owns what happens while code of the bot blocks the event loop: it is named, the session lives on.

A tool that calls time.sleep() or requests stops all other work of the process. AgentCore ends a
session that does not answer /ping, so a thread answers meanwhile, and the log says who blocks. All
other requests wait for the loop.
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from . import logs
from .own_code import is_own

# The loop is blocked after this time; a model that starts on a busy machine takes less.
BLOCKED_SECONDS = 1.0
BEAT_SECONDS = 0.25
REQUEST_BYTES = 16_384


class Watch:
    """Watches one event loop from a thread of its own."""

    def __init__(
        self,
        listening: socket.socket,
        respond: Callable[[bytes], bytes | None],
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`respond` answers a request, or leaves it to `protocol`, the server's, with None."""
        self._listening, self._respond, self._protocol = listening, respond, protocol

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the loop, which runs in this thread."""
        self._loop, self._thread = loop, threading.get_ident()
        self._tick()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _tick(self) -> None:
        self._last = time.monotonic()
        self._loop.call_later(BEAT_SECONDS, self._tick)

    def _run(self) -> None:
        while not self._loop.is_closed():
            time.sleep(BEAT_SECONDS)
            began = self._last
            if time.monotonic() - began > BLOCKED_SECONDS:
                self._report(began)

    def _report(self, began: float) -> None:
        """Name what blocks the loop, and answer /ping until it runs again."""
        name = ""
        while self._last == began and not self._loop.is_closed():
            name = name or blocking(sys._current_frames().get(self._thread))
            readable, _, _ = select.select([self._listening], [], [], BEAT_SECONDS)
            if readable:
                with suppress(OSError):
                    self._answer()
        if name:
            seconds = round(time.monotonic() - began, 1)
            logs.write("blocked", level="WARNING", name=name, seconds=seconds)

    def _answer(self) -> None:
        connection, _ = self._listening.accept()
        connection.settimeout(1)
        try:
            answer = self._respond(connection.recv(REQUEST_BYTES, socket.MSG_PEEK))
        except OSError:  # a slow caller may wait for the loop
            answer = None
        if answer is None:
            connection.setblocking(False)
            asyncio.run_coroutine_threadsafe(self._hand_over(connection), self._loop)
            return
        with connection:
            connection.recv(REQUEST_BYTES)  # what is left unread would reset the connection
            connection.sendall(answer)

    async def _hand_over(self, connection: socket.socket) -> None:
        """Let the server answer, which finds the whole request still unread."""
        await self._loop.connect_accepted_socket(self._protocol, connection)


def blocking(frame: FrameType | None) -> str:
    """Return the name of the bot's function that a thread is in; empty if it is in none."""
    while frame:
        if is_own(frame.f_code.co_filename):
            return frame.f_code.co_name
        frame = frame.f_back
    return ""

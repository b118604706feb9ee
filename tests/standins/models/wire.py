"""The wire between an agent and the stand-ins: it carries bytes until a test breaks it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_PIECE = 64 * 1024
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends a reset and no goodbye


class Wire:
    """Carries every connection on one listening socket to `address`, where the service is."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._open: set[asyncio.StreamWriter] = set()
        self._dead = False

    def cut(self) -> None:
        """Resets all connections, as a failing network does. The next one is carried again."""
        for end in self._open:
            reset(end)

    def kill(self) -> None:
        """Resets all connections, and from now on each new one."""
        self._dead = True
        self.cut()

    @asynccontextmanager
    async def carrying(self, listening: socket.socket) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._carry, sock=listening)
        try:
            yield
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    async def _carry(self, agent: asyncio.StreamReader, to_agent: asyncio.StreamWriter) -> None:
        if self._dead:
            reset(to_agent)
            return
        service, to_service = await asyncio.open_connection(*self._address)
        ends = {to_agent, to_service}
        self._open |= ends
        try:
            await asyncio.gather(_pass(agent, to_service), _pass(service, to_agent))
        finally:
            self._open -= ends
            for end in ends:
                end.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copies until either side is gone; both know it then."""
    with suppress(ConnectionError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
    sink.close()


def reset(end: asyncio.StreamWriter) -> None:
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    end.transport.abort()

"""Owns a TCP proxy between an agent and the stand-ins, which tests can break."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK = 64 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends a reset instead of FIN


class BreakableProxy:
    """Forwards every connection on one listening socket to the service at `address`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._open: set[asyncio.StreamWriter] = set()
        self._refusing = False

    def reset_connections(self) -> None:
        """Reset all connections, as a failing network does. New connections work."""
        for end in self._open:
            reset(end)

    def refuse_connections(self) -> None:
        """Reset all connections, and from now on every new one."""
        self._refusing = True
        self.reset_connections()

    @asynccontextmanager
    async def forwarding(self, listening: socket.socket) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._forward, sock=listening)
        try:
            yield
        finally:
            server.close()
            self.reset_connections()
            await server.wait_closed()

    async def _forward(self, agent: asyncio.StreamReader, to_agent: asyncio.StreamWriter) -> None:
        if self._refusing:
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
    """Copy until either side closes, then close the other."""
    with suppress(ConnectionError):
        while piece := await source.read(_CHUNK):
            sink.write(piece)
            await sink.drain()
    sink.close()


def reset(end: asyncio.StreamWriter) -> None:
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    end.transport.abort()

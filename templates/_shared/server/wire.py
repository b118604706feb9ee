"""HTTP connections, of which a stranger can hold open only so many and only so long.

uvicorn waits for the head of a request for ever, and takes as much of it as there comes.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536
HEAD_SECONDS = 10
# Of one address; a proxy that is trusted has as many as it likes.
CONNECTIONS = 256


def protocol(trusted_proxies: tuple[str, ...]) -> type[asyncio.Protocol]:
    """uvicorn's protocol with these limits, which all its connections share."""
    trusted = [ipaddress.ip_network(network) for network in trusted_proxies]
    open_now: Counter[str] = Counter()

    def is_trusted(address: str) -> bool:
        return any(ipaddress.ip_address(address) in network for network in trusted)

    class Limited(HttpToolsProtocol):
        _head = 0
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            open_now[address] += 1
            if open_now[address] > CONNECTIONS and not is_trusted(address):
                transport.abort()
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            address = self.client[0] if self.client else ""
            open_now[address] -= 1
            if not open_now[address]:
                del open_now[address]
            self._done()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
                self._wait()
            if self._waiting:
                self._head += len(data)
                if self._head > HEAD_BYTES + len(data):
                    self.transport.abort()
                    return
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._done()
            super().on_headers_complete()

        def _wait(self) -> None:
            self._head = 0
            self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

        def _done(self) -> None:
            if self._waiting:
                self._waiting.cancel()
                self._waiting = None

    return Limited

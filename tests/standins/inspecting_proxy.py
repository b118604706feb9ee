"""A company's proxy that inspects TLS: it answers CONNECT with a certificate of its own authority.

Requests that it allows reach the service in `routes` unchanged. Hosts with a route like
tcp://ADDRESS:PORT are exempt: it does not see into their connections. It is a real proxy on a real
port; only the names of its hosts lead to stand-ins.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from tests.standins.background import in_background
from tests.standins.models.certificates import make_certificates
from voicecore.console.network_env import CA_VARIABLES


@dataclass
class InspectingProxy:
    """A running proxy; `routes` are URLs of services by host name, which may contain a *."""

    routes: Mapping[str, str]
    address: str = "127.0.0.1"
    """Address that it listens at."""
    authority: Path = Path()
    url: str = ""
    hosts: list[str] = field(default_factory=list)
    """Hosts that were asked for, in order."""

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[InspectingProxy]:
        """Run in this event loop; write certificates into `folder`."""
        self._connections: set[asyncio.Task[None]] = set()
        certificates = make_certificates(folder, list(self.routes))
        self.authority = certificates.authority
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificates.chain, certificates.key)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections.add(asyncio.create_task(self._answer(reader, writer)))

        server = await asyncio.start_server(connected, self.address, 0)
        self.url = f"http://{self.address}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with _closing(writer), suppress(OSError, asyncio.IncompleteReadError):
            method, target, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().split()
            host = target.partition(":")[0]
            self.hosts.append(host)
            route = next((url for name, url in self.routes.items() if fnmatchcase(host, name)), "")
            if method != "CONNECT" or not route:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                if not route.startswith("tcp:"):
                    await writer.start_tls(self._tls)
                answers, requests = await _connected(route)
                with _closing(requests):
                    await asyncio.gather(_forward(reader, requests), _forward(answers, writer))

    def environment(self, variable: str = "SSL_CERT_FILE") -> dict[str, str]:
        """Return variables that name the proxy, and its authority by one of CA_VARIABLES."""
        others = dict.fromkeys(CA_VARIABLES, "")
        return {**others, "HTTPS_PROXY": self.url, variable: str(self.authority)}


@contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close the connection after the block; at once if the proxy ends."""
    try:
        yield
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()


async def _connected(route: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(route)
    if where.scheme in ("http", "tcp"):
        return await asyncio.open_connection(where.hostname, where.port)
    tls = ssl.create_default_context()
    return await asyncio.open_connection(where.hostname, where.port or 443, ssl=tls)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextmanager
def inspecting_proxy(
    folder: Path, routes: Mapping[str, str], address: str = "127.0.0.1"
) -> Iterator[InspectingProxy]:
    """Run the proxy in a thread; it writes its certificates into `folder`."""
    with in_background(InspectingProxy(routes, address).serving(folder)) as proxy:
        yield proxy

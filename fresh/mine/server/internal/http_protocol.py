"""Owns the limits of connections: how many there are, what they may send, and how long they last.

uvicorn accepts any number of connections, waits forever for the head of a request, and accepts any
length of it, and any number of pipelined requests.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .middleware import BODY_BYTES
from .networks import InProgress, PerMinute, is_within, network_of
from .settings import Settings

# Of a request without its body: the head, the frames of chunks, trailers, and pipelined requests.
HEAD_BYTES = 65_536
HEADERS = 128
HEAD_SECONDS = 10
# From the head to the last byte of the answer. An agent has 40 s to start.
REQUEST_SECONDS = 120
# Requests on one connection that wait for the answers to those before them.
PIPELINED = 8
# Parsed at a time; a read has up to 256 kB.
PART_BYTES = 16_384
CONNECTIONS_IN_TOTAL = 1024
# A connection may need another one to the agent and one to Redis, which both stay open for a while.
DESCRIPTORS_EACH = 4


class Refused(Exception):
    """A request is over a limit."""


def protocol(ours: Settings) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with these limits, counted over all its connections."""
    connections = InProgress(in_total=connections_in_total())
    # Clients that open a connection for each request are answered 429 before they get none.
    per_minute = PerMinute(2 * ours.requests_per_minute)

    class LimitedProtocol(HttpToolsProtocol):
        parser: Any  # None when the connection is lost
        _network: str | None = None
        _deadline: asyncio.TimerHandle | None = None
        _overhead = 0
        _is_head = True
        _refusal = 400

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._unanswered: list[Any] = []

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._allow(HEAD_SECONDS)
            address = self.client[0] if self.client else ""
            is_proxy = is_within(address, ours.trusted_proxies)
            network = network_of(address)
            if not is_proxy and not per_minute.allows(network):
                self._abort()
            elif connections.enter(network, is_limited=not is_proxy):
                self._network = network
            else:
                self._abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            if self._network is not None:
                connections.leave(self._network)
            self._end_requests()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            for start in range(0, len(data), PART_BYTES):
                part = data[start : start + PART_BYTES]
                self._overhead += len(part)
                super().data_received(part)
                if self.transport.is_closing() or self.transport.get_protocol() is not self:
                    return
                if self._overhead > HEAD_BYTES:
                    self._refusal = 431
                    self.send_400_response("")
                    return

        def on_message_begin(self) -> None:
            if len(self.pipeline) >= PIPELINED:
                raise Refused
            if self._is_idle():
                self._allow(HEAD_SECONDS)
                self._overhead = 0
            self._is_head = True
            super().on_message_begin()

        def on_header(self, name: bytes, value: bytes) -> None:
            if not self._is_head:
                return  # a trailer, which is not a header of the request
            if len(self.headers) >= HEADERS:
                self._refusal = 431
                raise Refused
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._is_head = False
            if not (self.parser.should_upgrade() and self._should_upgrade()):
                self._unanswered.append(self.cycle)
                self._allow(REQUEST_SECONDS)

        def on_body(self, body: bytes) -> None:
            if not self.pipeline:
                self._overhead -= len(body)
            # The middleware refuses a body that is too large: keep enough of it to know.
            if self.cycle is None or len(self.cycle.body) <= BODY_BYTES:
                super().on_body(body)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            del self._unanswered[:1]
            if self.pipeline:
                self.flow.pause_reading()
            else:
                self._overhead = 0
            # An idle connection is closed, but that waits until the client has read its answers.
            idle = self.timeout_keep_alive + HEAD_SECONDS
            self._allow(idle if self._is_idle() else REQUEST_SECONDS)

        def send_400_response(self, msg: str) -> None:
            """Refuse what was received; an answer in progress cannot be followed by another."""
            if not self._is_idle():
                self._abort()
                return
            line = STATUS_LINE[self._refusal]
            self.transport.write(line + b"connection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

        def _unsupported_upgrade_warning(self) -> None:
            """Log nothing: the request is answered in HTTP/1.1 (RFC 9110, 7.8)."""

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _allow(self, seconds: float) -> None:
            """Give the connection this time for its next step."""
            self._stop_waiting()
            self._deadline = self.loop.call_later(seconds, self._abort)

        def _abort(self) -> None:
            self._end_requests()
            self.transport.abort()

        def _end_requests(self) -> None:
            """Tell all requests, of which uvicorn knows the last, that the client has gone."""
            for cycle in self._unanswered:
                cycle.disconnected = True
                cycle.message_event.set()

        def _stop_waiting(self) -> None:
            if self._deadline:
                self._deadline.cancel()

    return LimitedProtocol


def connections_in_total() -> int:
    """Return how many connections fit into this process's open files, which it may raise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_IN_TOTAL * DESCRIPTORS_EACH
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most // DESCRIPTORS_EACH

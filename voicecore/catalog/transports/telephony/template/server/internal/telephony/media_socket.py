"""Owns the limits of media sockets: what they may send, and how long they wait.

uvicorn closes a connection only after its peer has read everything, and answers pings of a peer
that reads nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Providers send 20 to 100 ms of audio in a message: up to 4 kB.
MESSAGE_BYTES = 65_536
FRAGMENTS = 64
# Messages that wait to be read. One read has up to 256 kB, of audio a quarter of this.
MESSAGES = 4096
# Bytes that wait to be sent: audio waits for the provider, answers to its pings do not.
UNREAD_BYTES = 1_048_576
HANDSHAKE_SECONDS = 10
CLOSE_SECONDS = 15
# Parsed at a time.
PART_BYTES = 16_384
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class MediaSocket(WebSocketsSansIOProtocol):
    """A provider's WebSocket, from its handshake on."""

    on_lost: Callable[[], object] | None = None
    refused = 0
    """HTTP status of a handshake that is not valid."""
    _is_lost = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HANDSHAKE_SECONDS, self._abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._deadline.cancel()
        if self.on_lost:
            self.on_lost()
        super().connection_lost(exc)

    def start_keepalive(self) -> None:
        """Start pings, when the handshake is accepted."""
        self._deadline.cancel()
        super().start_keepalive()

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self._abort()  # a client waits for the answer to its handshake (RFC 6455, 4.1)
            return
        for start in range(0, len(data), PART_BYTES):
            super().data_received(data[start : start + PART_BYTES])
            if self.conn.handshake_exc and not self.refused:
                self._refuse()
            if self.transport.is_closing():
                return
            if len(self.frames) > FRAGMENTS or self.queue.qsize() > MESSAGES or self._is_unread():
                self._abort()
                return

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code != 101:
            self.refused = self.response.status_code

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; uvicorn logs a traceback for text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.fail(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """End a connection that does not answer pings, and may not read what is sent."""
        self._abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the provider some time to read the last words."""
        super().on_task_complete(task)
        self._deadline.cancel()
        if not self._is_lost:  # else the timer would keep the call in memory
            self._deadline = self.loop.call_later(CLOSE_SECONDS, self._abort)

    def _refuse(self) -> None:
        """Send the answer to a handshake that cannot be parsed, which uvicorn forgets."""
        answer = b"".join(self.conn.data_to_send()) or BAD_REQUEST
        self.refused = int(answer.split()[1])
        self.close_sent = self.handshake_complete = True
        self.transport.write(answer)
        self.transport.close()

    def _abort(self) -> None:
        self.disconnected = True  # nothing can be sent any more
        self.transport.abort()

    def _is_unread(self) -> bool:
        return self.transport.get_write_buffer_size() > UNREAD_BYTES

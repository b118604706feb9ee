"""Owns the HTTP server: threads, keep-alive, and connections that are reset on demand."""

from __future__ import annotations

import io
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.standins.aws.http.operations import Request, Response

Handle = Callable[[Request], Response | None]


class Server(ThreadingHTTPServer):
    """A server on one address; port 0 chooses a free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handle: Handle, port: int = 0, host: str = "127.0.0.1") -> None:
        self.answer = handle
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, as killed ones do."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("expect", "").lower() == "100-continue":
            headers.pop("expect")
        assert isinstance(self.server, Server)
        answer = self.server.answer(
            Request(self.command, path, query, headers, self._body(headers))
        )
        if answer is None:
            self._reset()
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if answer.stream is not None:
            self._stream(answer.stream)
            return
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_POST

    def _stream(self, pieces: Iterator[bytes]) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self.rfile.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        headers.pop("transfer-encoding")
        return body

    def _reset(self) -> None:
        """Reset the connection as a failing network does: the client sees ECONNRESET."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.wfile = io.BytesIO()  # what the base class still flushes and closes

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the journal has more."""

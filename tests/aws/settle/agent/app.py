"""The agent of the probes: an HTTP server of the standard library that tells what it gets."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import struct
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

BOOT = uuid.uuid4().hex
"""Made when the process starts: equal in two sessions if a snapshot was restored."""
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
DRAINS = 60
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Agent(BaseHTTPRequestHandler):
    """One connection from AgentCore."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a ping, or serve a WebSocket."""
        if self.path.startswith("/ws"):
            self._serve_socket()
        else:
            self._answer(os.environ.get("PING_BODY", '{"status": "Healthy"}').encode())

    def do_POST(self) -> None:
        """Tell what the container has and what the request brought."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(json.dumps(self._report()).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""

    def _report(self) -> dict[str, Any]:
        return {
            "session": self.headers.get(SESSION),
            "headers": sorted(name.lower() for name in self.headers),
            "environment": sorted(os.environ),
            "resource": "cloud.resource_id" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""),
            "dockerenv": Path("/.dockerenv").exists(),
            "uid": os.getuid(),
            "boot": BOOT,
        }

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve_socket(self) -> None:
        """Send the session's ID, then the length of each message."""
        key = self.headers["Sec-WebSocket-Key"] + _GUID
        digest = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self._send(self.headers.get(SESSION, "").encode())
        length = 0
        while True:
            final, opcode, data = self._receive()
            if opcode == 8:
                return
            length = len(data) + (length if opcode == 0 else 0)
            if final and opcode < 3:
                self._send(str(length).encode())

    def _receive(self) -> tuple[bool, int, bytes]:
        """Read one frame of RFC 6455, 5.2; the end of the connection counts as a close."""
        head = self.rfile.read(2)
        if len(head) < 2:
            self.close_connection = True
            return True, 8, b""
        size = head[1] & 0x7F
        if size > 125:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(self.rfile.read(wide))
        if head[1] & 0x80:
            self.rfile.read(4)  # the mask, which does not change the length
        return bool(head[0] & 0x80), head[0] & 0x0F, self.rfile.read(size)

    def _send(self, text: bytes) -> None:
        self.wfile.write(struct.pack("!BB", 0x81, len(text)) + text)


def drain(signal_number: int, frame: FrameType | None) -> None:
    """Log until the platform ends the process, which shows how long it waits."""
    del frame
    threading.Thread(target=_log_time, args=(signal.Signals(signal_number).name,)).start()


def _log_time(name: str) -> None:
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < DRAINS:
        print(json.dumps({"event": "draining", "signal": name, "seconds": seconds}), flush=True)
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, drain)
    port = int(os.environ.get("PORT", "8080"))
    print(json.dumps({"event": "ready", "seconds": 0.1, "peak_mb": 12.5}), flush=True)
    ThreadingHTTPServer(("0.0.0.0", port), Agent).serve_forever()

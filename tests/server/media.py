"""Owns media sockets as a provider opens them, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.server.hostile import connect
from tests.server.serving import KEY, RunningServer

ACCOUNT = "AC" + "0" * 32
CREDENTIALS = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "0" * 32}
CALL = "CA" + "0" * 32
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def handshake(path: str, *more: bytes) -> bytes:
    """Return the request that opens a WebSocket, with more header lines."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    return head.encode() + b"".join(line + b"\r\n" for line in more) + b"\r\n"


def media_path(call: str = CALL) -> str:
    """Return the path of a call's media socket, with its ticket, as the server answers it."""
    name = f"{base64.urlsafe_b64encode(call.encode()).decode().rstrip('=')}.{int(time.time()) + 60}"
    secret = hmac.digest(KEY.encode(), b"telephone tickets", hashlib.sha256)
    signed = hmac.digest(secret, f"media-twilio:{name}".encode(), hashlib.sha256)
    return f"/phone/twilio/media/{name}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"


def frame(
    data: bytes, opcode: int = TEXT, *, fin: bool = True, claimed: int | None = None
) -> bytes:
    """Return a frame of a client; `claimed` is the length that its head announces."""
    length, mask = len(data) if claimed is None else claimed, os.urandom(4)
    head = bytes([fin << 7 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65_536:
        head += b"\xfe" + length.to_bytes(2, "big")
    else:
        head += b"\xff" + length.to_bytes(8, "big")
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    masked = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(
        len(data), "big"
    )
    return head + mask + masked


def start(call: str = CALL) -> bytes:
    """Return the frames that begin a call of Twilio."""
    format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    inner = {"accountSid": ACCOUNT, "streamSid": "MZ1", "callSid": call, "mediaFormat": format}
    documents = ({"event": "connected"}, {"event": "start", "start": inner})
    return b"".join(frame(json.dumps(document).encode()) for document in documents)


async def open_media(
    server: RunningServer, call: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the media socket of a call, which has started."""
    reader, writer = await connect(server)
    try:
        writer.write(handshake(media_path(call)))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer, answer
        writer.write(start(call))
        await writer.drain()
    except BaseException:
        writer.close()
        raise
    return reader, writer


@contextmanager
def silent_agentcore() -> Iterator[str]:
    """Yield the URL of an AgentCore that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in accepted:
                connection.close()

"""Owns what proxies pass on: end-to-end headers, and each frame of a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def pass_on(source: Socket, sink: Socket) -> bool:
    """Pass on each frame; return True if the source closed with a close frame."""
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.TEXT:
                await sink.send_str(message.data)
            case WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            case WSMsgType.PING:
                await sink.ping(message.data)
            case WSMsgType.PONG:
                await sink.pong(message.data)
            case WSMsgType.CLOSE:
                # Its own close() would wait for the answer that the other direction passes on.
                assert sink._writer is not None
                await sink._writer.close(message.data or 1000, (message.extra or "").encode())
                return True
            case _:
                return False


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the end-to-end headers, without hop-by-hop ones."""
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in _HOP_BY_HOP)

"""Owns an agent at the other end of a page's WebSocket, without a server or a runtime.

It is ready at once, and says and plays what a test tells it.
"""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from voicecore.talk.transports import pipecat_frames, rtvi

SESSION = {
    "sessionId": "5" * 36,
    "token": "a-token",
    "transport": "websocket",
    "wsUrl": "ws://127.0.0.1:1/ws",
}
"""The answer of a session server to /start."""
CLOSED_OK = 1000


class PageAgent:
    """The agent of a page's calls; `heard` is the audio that the page has sent, with its rate."""

    def __init__(self, page: Page) -> None:
        self.heard: list[pipecat_frames.Audio] = []
        self._sockets: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/ws"), self._open)

    def send(self, kind: str, **data: Any) -> None:
        """Send an RTVI message."""
        self._message({"label": rtvi.LABEL, "type": kind, "data": data})

    def play(self, pcm: bytes, rate: int) -> None:
        """Send audio as fast as the socket takes it."""
        step = rate // 25 * 2
        for start in range(0, len(pcm), step):
            frame = pipecat_frames.Audio(pcm[start : start + step], rate)
            self._sockets[-1].send(pipecat_frames.encode(frame))

    def hang_up(self) -> None:
        """End the call."""
        self._sockets[-1].close(code=CLOSED_OK)

    def _open(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)
        socket.on_message(self._receive)

    def _receive(self, data: str | bytes) -> None:
        assert isinstance(data, bytes)
        match pipecat_frames.decode(data):
            case pipecat_frames.Audio() as audio:
                self.heard.append(audio)
            case pipecat_frames.Message(body) if body["type"] == "client-ready":
                ready = {"label": rtvi.LABEL, "type": "bot-ready", "id": body["id"]}
                self._message(ready | {"data": {"version": rtvi.VERSION}})
            case _:
                pass

    def _message(self, body: dict[str, Any]) -> None:
        self._sockets[-1].send(pipecat_frames.encode(pipecat_frames.Message(body)))

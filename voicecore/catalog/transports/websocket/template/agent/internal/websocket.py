"""The WebSocket transport: audio and messages over /ws, as Pipecat's protobuf frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from pipecat.frames.frames import Frame
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from starlette.websockets import WebSocket

from . import logs
from .conversation import Conversation
from .sound_input import HeardTransport

if TYPE_CHECKING:
    from bedrock_agentcore import RequestContext

    from .app import Agent

# Codes that close a socket (RFC 6455, 7.4.1).
UNSUPPORTED_DATA, INVALID_DATA = 1003, 1007


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer /ws with the conversation, which outlives the connection."""

    async def answer(socket: WebSocket, context: RequestContext) -> None:
        await socket.accept()
        params = FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=SocketFrames(socket)
        )
        await conversation.hold(SocketTransport(socket, params), "websocket")

    agent.sockets["websocket"] = answer


class SocketTransport(HeardTransport, FastAPIWebsocketTransport):
    """Pipecat's transport, with steady audio."""


class SocketFrames(ProtobufFrameSerializer):
    """Pipecat's frames. A client that sends anything else is told so as its socket closes."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__()
        self._socket = socket

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Return the frame in a message, or close the socket."""
        if isinstance(data, str):
            await self._refuse(UNSUPPORTED_DATA, "text; send Pipecat's protobuf frames as binary")
            return None
        try:
            return await super().deserialize(data)
        except DecodeError:
            await self._refuse(INVALID_DATA, "not a frame of Pipecat's protobuf schema")
            return None

    async def _refuse(self, code: int, reason: str) -> None:
        logs.write("frame_refused", level="ERROR", code=code, reason=reason)
        await self._socket.close(code, reason)

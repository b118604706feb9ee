"""The WebSocket transport: audio and messages over /ws, as Pipecat's protobuf frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from pipecat.frames.frames import (
    Frame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
)
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
# AgentCore closes a socket with 1009 for a larger frame, and the client would not learn the error.
FRAME_BYTES = 32 * 1024


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer /ws with the conversation, which outlives the connection."""

    async def answer(socket: WebSocket, context: RequestContext) -> None:
        await socket.accept()
        params = FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            # Pipecat's 2 s of silence at the end of a call are one frame, of 96 KB.
            audio_out_end_silence_secs=0,
            serializer=SocketFrames(socket),
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

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """Return the bytes of a frame. The texts of a message that is too long are shortened."""
        data = await super().serialize(frame)
        if not isinstance(frame, (OutputTransportMessageFrame, OutputTransportMessageUrgentFrame)):
            return data
        for length in (2000, 20):
            if data and len(data) > FRAME_BYTES:
                short = type(frame)(message=shortened(frame.message, length))
                data = await super().serialize(short)
        if data and len(data) > FRAME_BYTES:
            logs.write("message_dropped", level="ERROR", bytes=len(data))
            return None
        return data

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


def shortened(value: Any, length: int) -> Any:
    """Return JSON whose texts have at most this length."""
    if isinstance(value, dict):
        return {key: shortened(item, length) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item, length) for item in value]
    cut = isinstance(value, str) and len(value) > length
    return value[: length - 1] + "…" if cut else value

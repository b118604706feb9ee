"""The WebSocket transport: audio and messages over /ws, as Pipecat's protobuf frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from starlette.websockets import WebSocket

from .conversation import Conversation

if TYPE_CHECKING:
    from bedrock_agentcore import RequestContext

    from .app import Agent


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer /ws with the conversation, which outlives the connection."""

    async def answer(socket: WebSocket, context: RequestContext) -> None:
        await socket.accept()
        transport = FastAPIWebsocketTransport(
            socket,
            FastAPIWebsocketParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                serializer=ProtobufFrameSerializer(),
            ),
        )
        await conversation.hold(transport, "websocket")

    agent.sockets["websocket"] = answer

"""The peer: an agent like Pipecat's own example for WebRTC on AgentCore, with the bot beside it.

It has Pipecat's request handler with one ICE server of all ICE_SERVER_URLS, sends the answer as an
event of a stream, runs the bot as long as the stream, and greets when the client is ready.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import bot
from bedrock_agentcore import BedrockAgentCoreApp
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import IceServer, SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import (
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

app = BedrockAgentCoreApp()


@app.entrypoint
async def answer(payload: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    server = IceServer(
        urls=[url.strip() for url in os.environ["ICE_SERVER_URLS"].split(",")],
        username=os.environ["ICE_SERVER_USERNAME"],
        credential=os.environ["ICE_SERVER_CREDENTIAL"],
    )
    handler = SmallWebRTCRequestHandler(ice_servers=[server])
    made: list[SmallWebRTCConnection] = []

    async def take(connection: SmallWebRTCConnection) -> None:
        made.append(connection)

    request = SmallWebRTCRequest.from_dict(payload["data"])
    yield {"answer": await handler.handle_web_request(request, take)}
    await talk(made[0])


async def talk(connection: SmallWebRTCConnection) -> None:
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    transport = SmallWebRTCTransport(connection, params)
    pair = LLMContextAggregatorPair(LLMContext(), user_params=bot.listening())
    worker = PipelineWorker(bot.pipeline(transport, pair))

    @worker.rtvi.event_handler("on_client_ready")
    async def on_ready(*_: object) -> None:
        await worker.queue_frames(bot.greeting())

    @transport.event_handler("on_client_disconnected")
    async def on_left(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]))

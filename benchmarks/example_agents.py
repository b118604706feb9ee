"""The agents of the benchmarks: a generated one, and one like Pipecat's examples for AgentCore."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PYTHON = "3.13"
SOURCE = Path(__file__).parents[1]
# The packages of pipecat-examples, deployment/aws-agentcore-websocket/agent/pyproject.toml.
EXAMPLE = (
    "bedrock-agentcore",
    "pipecat-ai[aws,cartesia,daily,deepgram,runner,silero,websocket,local-smart-turn-v3]"
    ">=1.14,<1.15",
)
# The same with Nova Sonic in place of the four services.
EXAMPLE_SONIC = (
    "bedrock-agentcore",
    "pipecat-ai[aws-nova-sonic,runner,silero,websocket,local-smart-turn-v3]>=1.14,<1.15",
)
# An agent like the examples: it imports everything at the top, then starts the server.
EXAMPLE_AGENT = '''\
"""An agent that imports its pipeline before its server starts."""

import os

from bedrock_agentcore import BedrockAgentCoreApp
from dotenv import load_dotenv
from loguru import logger
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.runner.types import RunnerArguments
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
{imports}

load_dotenv(override=True)
app = BedrockAgentCoreApp()


@app.websocket
async def answer(websocket, context):
    await websocket.accept()
    params = FastAPIWebsocketParams(
        audio_in_enabled=True, audio_out_enabled=True, serializer=ProtobufFrameSerializer()
    )
    transport = FastAPIWebsocketTransport(websocket=websocket, params=params)
    # Smart-turn is Pipecat's default, which the examples set.
    ears = LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    talk = LLMContextAggregatorPair(LLMContext(), user_params=ears)
    services = {services}
    stages = [transport.input(), talk.user(), *services, transport.output(), talk.assistant()]
    task = PipelineTask(Pipeline(stages))

    @transport.event_handler("on_client_connected")
    async def begin(transport, client):
        print('{{"event": "ready"}}', flush=True)
        await task.queue_frames([LLMRunFrame()])

    await PipelineRunner(handle_sigint=False).run(task)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
'''
FOUR_SERVICES = EXAMPLE_AGENT.format(
    imports="from pipecat.services.aws.llm import AWSBedrockLLMService\n"
    "from pipecat.services.cartesia.tts import CartesiaTTSService\n"
    "from pipecat.services.deepgram.stt import DeepgramSTTService",
    services="[DeepgramSTTService(api_key='x'), AWSBedrockLLMService(model='x'), "
    "CartesiaTTSService(api_key='x', voice_id='x')]",
)
ONE_MODEL = EXAMPLE_AGENT.format(
    imports="from pipecat.services.aws.nova_sonic.llm import AWSNovaSonicLLMService",
    services="[AWSNovaSonicLLMService(access_key_id='x', secret_access_key='x', region='x')]",
)


def project(folder: Path, *more: str, source: Path = SOURCE) -> Path:
    """Create a project with its lockfile, by voicecore in `source`, and return its agent."""
    folder.mkdir()
    options = ["--pipeline", "nova-sonic", "--region", "us-east-1", "--yes", *more]
    env = {**os.environ, "PYTHONPATH": str(source)}
    call([sys.executable, "-m", "voicecore", "init", "ada", *options], folder, env)
    call(["uv", "lock", "--quiet"], folder / "ada/agent")
    return folder / "ada/agent"


def call(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Return the output of a command. Raises RuntimeError if it fails."""
    env = {name: value for name, value in (env or os.environ).items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout

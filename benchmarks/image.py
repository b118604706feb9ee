"""The agent's image against the ways there are: built, pushed, edited, and started.

`python -m benchmarks.image` builds the WebSocket agent of Nova Sonic with `voicecore build` and as
two others do: with the Dockerfile that AWS's starter toolkit generates, and with the project and
Dockerfile that `pipecat init` does; both install their packages in an emulated image. Each way has
an engine of its own, in which only the base image is: all downloads and caches are cold. The base
images of the two cannot be reached; they stand on the one that voicecore stands on, with uv.

Then it starts agents, natively: the generated one, out of the folders that its Dockerfile makes,
and one that is written as Pipecat's examples for AgentCore are, with their packages.

Takes the lab of tests/standins/image (Linux, root, `make lab`) and uv with a Python 3.13.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from benchmarks.processes import peer
from tests.standins.image.emulation import arm64
from tests.standins.image.engine import Engine, dockerd
from tests.standins.image.lab import Registries, registries
from voicecore.local.processes.ports import free_port

EDITS = 5
STARTS = 7
PYTHON = "3.13"

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

# An agent as the examples are written: all is imported at the top, then the server starts.
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
    # Smart-turn is Pipecat's default, which the examples name.
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

# The toolkit's own generator; there is no command for the Dockerfile alone.
GENERATE = """\
import sys
from pathlib import Path
from bedrock_agentcore_starter_toolkit.utils.runtime.container import ContainerRuntime

agent = Path(sys.argv[1])
ContainerRuntime(print_logs=False).generate_dockerfile(
    agent / "agent.py", agent, "agent", aws_region="us-east-1", source_path=str(agent),
    silence_warn=True,
)
"""

# An attestation would make an index of the image.
_AS_ARM64 = ("--platform", "linux/arm64", "--provenance=false")

# ghcr.io/astral-sh/uv is a slim Python with uv; Debian's useradd comes with the official image.
UV_BASE = """\
FROM --platform=$BUILDPLATFORM {base} AS build
RUN pip install --quiet --target /uv --platform manylinux2014_aarch64 --only-binary :all: uv \\
 && printf '#!/bin/sh\\necho "bedrock_agentcore:x:1000:1000::/tmp:/bin/sh" >> /etc/passwd\\n' \\
    > /uv/bin/useradd && chmod +x /uv/bin/*
FROM --platform=linux/arm64 {base}
COPY --from=build /uv/bin/uv /uv/bin/useradd /usr/local/bin/
WORKDIR /app
"""


@dataclass(frozen=True)
class World:
    """Where everything is."""

    lab: Registries
    folder: Path
    uv_base: str
    """What the others' Dockerfiles stand on."""


@dataclass(frozen=True)
class Way:
    """A way to get an image into ECR."""

    name: str
    repository: str
    edited: Path
    """The file in which the agent's author changes a line."""
    build: Callable[[Engine], object]
    """Builds, and pushes to the repository."""
    check: Callable[[Engine], Mapping[str, Any]] | None = None
    """Runs the image; returns what was seen."""


@dataclass(frozen=True)
class Taken:
    """What a way took. Times in seconds, sizes in bytes."""

    cold: float
    edits: list[float]
    sent: list[int]
    """Bytes that each edit sent to ECR."""
    compressed: int
    unpacked: int
    seen: Mapping[str, Any] | None


# ---- images


def images(edits: int = EDITS) -> None:
    """Print the table of the images, and what `voicecore build --check` says of ours."""
    with tempfile.TemporaryDirectory() as folder, arm64(), registries() as lab:
        world = World(lab, Path(folder), push_uv_base(lab, Path(folder)))
        ways = (ours(world, "buildx"), ours(world, "direct"), toolkit(world), pipecat(world))
        taken = {way.name: measure(world, way, edits) for way in ways}
    first = next(iter(taken.values()))
    print("| WebSocket and Nova Sonic | cold build and push, s | against voicecore "
          "| an edit pushed, s | sent, KB | compressed, MB | on disk, MB |\n"
          "|---|---|---|---|---|---|---|")  # fmt: skip
    for name, it in taken.items():
        print(f"| {name} | {it.cold:.1f} | {it.cold / first.cold:.1f} × "
              f"| {statistics.median(it.edits):.2f} | {statistics.median(it.sent) / 1e3:.1f} "
              f"| {it.compressed / 1e6:.0f} | {it.unpacked / 1e6:.0f} |")  # fmt: skip
    for seen in (it.seen for it in taken.values() if it.seen):
        print(f"\n`voicecore build --check`, emulated: `/ping` after {seen['ping_seconds']:.1f} s, "
              f"warm after {seen['ready_seconds']:.1f} s, {seen['peak_mb']:.0f} MB")  # fmt: skip


def measure(world: World, way: Way, edits: int) -> Taken:
    """One cold build, then edits, in an engine that has the base images and nothing else."""
    lab = world.lab
    lab.ecr.repositories.add(way.repository)
    with dockerd(lab.reach) as engine:
        for image in (lab.official, world.uv_base):
            engine.docker("pull", "--quiet", "--platform", "linux/arm64", image)
        engine.docker("pull", "--quiet", "--platform", "linux/amd64", lab.official)
        token = lab.ecr.issue().password
        login = ["login", "--username", "AWS", "--password-stdin", lab.ecr.host]
        engine.docker(*login, stdin=token)
        cold, _ = timed(lab, way, engine)
        compressed, unpacked = sizes(lab, way.repository)
        edited = [timed(lab, way, engine, edit) for edit in range(edits)]
        seen = way.check(engine) if way.check else None
    print(f"{way.name}: {cold:.2f} s, then (seconds, bytes) {edited}", file=sys.stderr, flush=True)
    times, sent = ([each[n] for each in edited] for n in (0, 1))
    return Taken(cold, times, sent, compressed, unpacked, seen)


def timed(lab: Registries, way: Way, engine: Engine, edit: int | None = None) -> tuple[float, int]:
    """The seconds that one build took, and the bytes it sent, after an edit if there is one."""
    if edit is not None:
        way.edited.write_text(f"{way.edited.read_text()}# {edit}\n")
    lab.gate.journal.clear()
    started = time.perf_counter()
    way.build(engine)
    return time.perf_counter() - started, lab.gate.journal.bytes


def sizes(lab: Registries, repository: str) -> tuple[int, int]:
    """The bytes of an image's layers, in the registry and unpacked."""
    registry = lab.private
    manifest = registry.manifest(repository, registry.tags(repository)[0])
    layers = manifest["layers"]
    blobs = (registry.blob(repository, layer["digest"]) for layer in layers)
    return sum(layer["size"] for layer in layers), sum(len(gzip.decompress(each)) for each in blobs)


def ours(world: World, builder: str) -> Way:
    """The generated project, by `voicecore build`."""
    agent = project(world.folder / f"voicecore-{builder}")
    # All that uv and voicecore keep is as new as the engine.
    env = {**os.environ, **world.lab.env(), "XDG_CACHE_HOME": str(agent.parents[1] / "cache")}
    env.pop("UV_CACHE_DIR", None)
    repository = f"voicecore-{builder}"

    def build(engine: Engine, *more: str) -> Mapping[str, Any]:
        docker = engine.env if builder == "buildx" else {"DOCKER_CONFIG": str(world.folder)}
        words = ["build", "--builder", builder, "--push", f"{world.lab.ecr.host}/{repository}"]
        argv = [sys.executable, "-m", "voicecore", *words, "--json", *more]
        return json.loads(call(world.lab.argv(*argv), agent.parent, {**env, **docker}))

    def check(engine: Engine) -> Mapping[str, Any]:
        return build(engine, "--check")["check"]

    name = f"`voicecore build --builder {builder}`"
    return Way(name, repository, agent / "bot.py", build, check if builder == "buildx" else None)


def project(folder: Path) -> Path:
    """The agent of a generated project, with its lockfile, as it comes out of git."""
    folder.mkdir()
    wish = ["--pipeline", "nova-sonic", "--region", "us-east-1", "--yes"]
    call([sys.executable, "-m", "voicecore", "init", "ada", *wish], folder)
    call(["uv", "lock", "--quiet"], folder / "ada/agent")
    return folder / "ada/agent"


# ---- the others' images


def toolkit(world: World) -> Way:
    """An example's agent with the Dockerfile of AWS's starter toolkit."""
    agent = world.folder / "starter-toolkit"
    agent.mkdir()
    (agent / "agent.py").write_text(ONE_MODEL)
    (agent / "pyproject.toml").write_text(
        f'[project]\nname = "agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(EXAMPLE_SONIC)}\n"
    )
    tool = peer("starter-toolkit", "bedrock-agentcore-starter-toolkit")
    call([str(tool / "python"), "-c", GENERATE, str(agent)], world.folder)
    return emulated(world, "the starter toolkit's Dockerfile", agent, "agent.py")


def pipecat(world: World) -> Way:
    """A project of `pipecat init` with its Dockerfile."""
    wish = "-b web -t websocket -m realtime --realtime aws_nova_realtime --client-framework none"
    tool = peer("pipecat", "pipecat-ai[cli]")
    argv = [str(tool / "pipecat"), "init", "ada", "-n", "ada", *wish.split(), "--no-context-hub"]
    (world.folder / "pipecat").mkdir()
    call(argv, world.folder / "pipecat")
    agent = world.folder / "pipecat/ada/server"
    call(["uv", "lock", "--quiet"], agent)
    return emulated(world, "`pipecat init`'s Dockerfile", agent, "bot.py")


def emulated(world: World, name: str, agent: Path, edited: str) -> Way:
    """A Dockerfile whose base is not to be had here, on one that is like it."""
    dockerfile = agent / "Dockerfile"
    text = re.sub(r"(?m)^FROM \S+", f"FROM {world.uv_base}", dockerfile.read_text(), count=1)
    dockerfile.write_text(text)
    repository = agent.relative_to(world.folder).parts[0]
    target = f"{world.lab.ecr.host}/{repository}:latest"

    def build(engine: Engine) -> None:
        # In two steps, as the toolkit calls docker.
        engine.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", target, str(agent))
        engine.docker("push", "--quiet", target)

    return Way(name, repository, agent / edited, build)


def push_uv_base(lab: Registries, folder: Path) -> str:
    """Make what the others stand on, and bring it where engines get it from."""
    (folder / "Dockerfile").write_text(UV_BASE.format(base=lab.base))
    name = f"{lab.private.host}/uv:latest"
    with dockerd(lab.reach) as engine:
        engine.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", name, str(folder))
        engine.docker("push", "--quiet", name)
    return name


# ---- starts


@dataclass(frozen=True)
class Agent:
    """How an agent is started."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    loads_at_call: bool = False
    """Whether it makes its pipeline when it is called, rather than when it is started."""


@dataclass(frozen=True)
class Start:
    """When an agent answered `/ping` and was ready to talk, in seconds; its peak by then, in MB."""

    ping: float
    warm: float
    peak: float


def starts(runs: int = STARTS) -> None:
    """Print the table of the starts."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        agents = {
            "voicecore, Nova Sonic": generated(folder),
            "as the examples, Deepgram, Bedrock, Cartesia": example(folder / "4", FOUR_SERVICES,
                                                                    EXAMPLE),
            "as the examples, Nova Sonic": example(folder / "1", ONE_MODEL, EXAMPLE_SONIC),
        }  # fmt: skip
        taken: dict[str, list[Start]] = {name: [] for name in agents}
        for number in range(runs + 1):
            for name, agent in agents.items():
                began = start(agent)
                if number:  # the first one warms the disk's cache
                    taken[name].append(began)
    print("| agent | `/ping`, s | against voicecore | pipeline warm, s | peak MB by then |\n"
          "|---|---|---|---|---|")  # fmt: skip
    first = statistics.median(each.ping for each in next(iter(taken.values())))
    for name, each in taken.items():
        ping, warm, peak = (statistics.median(getattr(one, key) for one in each)
                            for key in ("ping", "warm", "peak"))  # fmt: skip
        print(f"| {name} | {ping:.2f} | {ping / first:.1f} × | {warm:.2f} | {peak:.0f} |")


def start(agent: Agent) -> Start:
    """Start an agent, wait until it has begun to answer, and end it."""
    port = free_port()
    env = {**os.environ, **agent.env, "PORT": str(port), "AWS_REGION": "us-east-1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        agent.argv, cwd=agent.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        while not answers_ping(port):
            if process.poll() is not None:
                raise RuntimeError(f"{agent.argv} ended with {process.returncode}")
            time.sleep(0.005)
        ping = time.perf_counter() - started
        call = connect(f"ws://127.0.0.1:{port}/ws") if agent.loads_at_call else nullcontext()
        assert process.stdout
        with call:
            # The pipeline is loaded behind /ping: what was said before it is still to be read.
            if not any(b'"event": "ready"' in line for line in process.stdout):
                raise RuntimeError(f"{agent.argv} ended before it was ready")
            warm = time.perf_counter() - started
        status = Path(f"/proc/{process.pid}/status").read_text()
        return Start(ping, warm, int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6)
    finally:
        process.kill()
        process.communicate()


def answers_ping(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def generated(folder: Path) -> Agent:
    """The generated agent in the folders of its image, for this machine's processor."""
    agent = project(folder / "voicecore")
    image = folder / "image"
    packages, app = image / "opt/packages", image / "app"
    export = ["uv", "export", "--quiet", "--frozen", "--no-dev", "--output-file"]
    call([*export, str(folder / "requirements.txt")], agent)
    into = ["--target", str(packages), "--requirements", str(folder / "requirements.txt")]
    how = ["--quiet", "--require-hashes", "--no-deps", "--link-mode", "copy", "--python", PYTHON]
    call(["uv", "pip", "install", *how, *into], agent)
    shutil.copytree(agent, app, ignore=shutil.ignore_patterns(".venv"))
    python = call(["uv", "python", "find", "--no-project", PYTHON], folder).strip()
    for part, place in (("packages", packages), ("code", app)):
        call([python, str(agent / "internal/prune.py"), part, str(place)], agent)
    shutil.copytree(image / "bot", app, dirs_exist_ok=True)
    env = {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return Agent([python, "-m", "internal.app"], app, env)


def example(folder: Path, source: str, packages: Sequence[str]) -> Agent:
    """An agent as the examples are, with bytecode of all."""
    folder.mkdir()
    (folder / "agent.py").write_text(source)
    call(["uv", "venv", "--quiet", "--python", PYTHON], folder)
    call(["uv", "pip", "install", "--quiet", "--compile-bytecode", *packages], folder)
    return Agent([".venv/bin/python", "agent.py"], folder, loads_at_call=True)


def call(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command prints; a failure is an error, not a fast run."""
    env = {name: value for name, value in (env or os.environ).items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Print the tables for RESULTS.md."""
    images()
    print()
    starts()


if __name__ == "__main__":
    main()

"""Compares images and startup of the agent with other tools: build, push, edit, start.

`python -m benchmarks.image` builds the WebSocket agent of Nova Sonic with `voicecore build`, with
the Dockerfile that AWS's starter toolkit generates, and with the project and Dockerfile of `pipecat
init`; the last two install their packages in an emulated image. Each build has its own engine with
only the base image, so all downloads and caches are cold. The base images of the other two cannot
be reached; they use voicecore's base image with uv.

Then it starts agents natively: the generated one, from the folders that its Dockerfile creates, and
one like Pipecat's examples for AgentCore, with their packages.

Needs the stand-ins of tests/standins/image (Linux, root, `make lab`) and uv with a Python 3.13.
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
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.emulation import arm64_emulation
from tests.standins.image.registries import Registries, run_registries
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

# The toolkit's generator; none of its commands generates only the Dockerfile.
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

# An attestation would turn the image into an index.
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
class Workspace:
    """Registries, working folder and base of the other tools."""

    registries: Registries
    folder: Path
    uv_base: str
    """Base image of the other tools' Dockerfiles."""


@dataclass(frozen=True)
class BuildMethod:
    """A tool that builds an image and pushes it to ECR."""

    name: str
    repository: str
    edited: Path
    """File that the agent's author edits."""
    build: Callable[[DockerDaemon], object]
    """Builds the image and pushes it to the repository."""
    check: Callable[[DockerDaemon], Mapping[str, Any]] | None = None
    """Runs the image and returns the measurements; None if it is not run."""


@dataclass(frozen=True)
class BuildResult:
    """Measurements of a build method, with times in seconds and sizes in bytes."""

    cold: float
    edits: list[float]
    sent: list[int]
    """Bytes sent to ECR after each edit."""
    compressed: int
    unpacked: int
    check: Mapping[str, Any] | None
    """Measurements of the running image."""


# ---- images


def images(edits: int = EDITS) -> None:
    """Print the table of the images, and the results of `voicecore build --check`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        arm64_emulation(),
        run_registries() as registries,
    ):
        workspace = Workspace(registries, Path(folder), push_uv_base(registries, Path(folder)))
        methods = (
            ours(workspace, "buildx"),
            ours(workspace, "direct"),
            toolkit(workspace),
            pipecat(workspace),
        )
        results = {method.name: measure(workspace, method, edits) for method in methods}
    first = next(iter(results.values()))
    print("| WebSocket and Nova Sonic | cold build and push, s | against voicecore "
          "| an edit pushed, s | sent, KB | compressed, MB | on disk, MB |\n"
          "|---|---|---|---|---|---|---|")  # fmt: skip
    for name, it in results.items():
        print(f"| {name} | {it.cold:.1f} | {it.cold / first.cold:.1f} × "
              f"| {statistics.median(it.edits):.2f} | {statistics.median(it.sent) / 1e3:.1f} "
              f"| {it.compressed / 1e6:.0f} | {it.unpacked / 1e6:.0f} |")  # fmt: skip
    for check in (it.check for it in results.values() if it.check):
        ping, warm = check["ping_seconds"], check["ready_seconds"]
        print(f"\n`voicecore build --check`, emulated: `/ping` after {ping:.1f} s, "
              f"warm after {warm:.1f} s, {check['peak_mb']:.0f} MB")  # fmt: skip


def measure(workspace: Workspace, method: BuildMethod, edits: int) -> BuildResult:
    """Measure a cold build and then edits, in an engine that has only the base images."""
    registries = workspace.registries
    registries.ecr.repositories.add(method.repository)
    with dockerd(registries.reach) as daemon:
        for image in (registries.official, workspace.uv_base):
            daemon.docker("pull", "--quiet", "--platform", "linux/arm64", image)
        daemon.docker("pull", "--quiet", "--platform", "linux/amd64", registries.official)
        token = registries.ecr.issue().password
        login = ["login", "--username", "AWS", "--password-stdin", registries.ecr.host]
        daemon.docker(*login, stdin=token)
        cold, _ = timed(registries, method, daemon)
        compressed, unpacked = sizes(registries, method.repository)
        edited = [timed(registries, method, daemon, edit) for edit in range(edits)]
        check = method.check(daemon) if method.check else None
    print(
        f"{method.name}: {cold:.2f} s, then (seconds, bytes) {edited}", file=sys.stderr, flush=True
    )
    times, sent = [seconds for seconds, _ in edited], [count for _, count in edited]
    return BuildResult(cold, times, sent, compressed, unpacked, check)


def timed(
    registries: Registries, method: BuildMethod, daemon: DockerDaemon, edit: int | None = None
) -> tuple[float, int]:
    """Return the seconds of one build and the bytes it sent, after an edit if there is one."""
    if edit is not None:
        method.edited.write_text(f"{method.edited.read_text()}# {edit}\n")
    registries.proxy.log.clear()
    started = time.perf_counter()
    method.build(daemon)
    return time.perf_counter() - started, registries.proxy.log.bytes


def sizes(registries: Registries, repository: str) -> tuple[int, int]:
    """Return the bytes of an image's layers, compressed and unpacked."""
    registry = registries.private
    manifest = registry.manifest(repository, registry.tags(repository)[0])
    layers = manifest["layers"]
    blobs = (registry.blob(repository, layer["digest"]) for layer in layers)
    return sum(layer["size"] for layer in layers), sum(len(gzip.decompress(each)) for each in blobs)


def ours(workspace: Workspace, builder: str) -> BuildMethod:
    """Return `voicecore build` with the generated project."""
    agent = project(workspace.folder / f"voicecore-{builder}")
    # The caches of uv and voicecore are empty, like the engine.
    env = {
        **os.environ,
        **workspace.registries.env(),
        "XDG_CACHE_HOME": str(agent.parents[1] / "cache"),
    }
    env.pop("UV_CACHE_DIR", None)
    repository = f"voicecore-{builder}"

    def build(daemon: DockerDaemon, *more: str) -> Mapping[str, Any]:
        docker = daemon.env if builder == "buildx" else {"DOCKER_CONFIG": str(workspace.folder)}
        words = [
            "build",
            "--builder",
            builder,
            "--push",
            f"{workspace.registries.ecr.host}/{repository}",
        ]
        argv = [sys.executable, "-m", "voicecore", *words, "--json", *more]
        return json.loads(call(workspace.registries.argv(*argv), agent.parent, {**env, **docker}))

    def check(daemon: DockerDaemon) -> Mapping[str, Any]:
        return build(daemon, "--check")["check"]

    name = f"`voicecore build --builder {builder}`"
    return BuildMethod(
        name, repository, agent / "bot.py", build, check if builder == "buildx" else None
    )


def project(folder: Path) -> Path:
    """Create a project with its lockfile, and return its agent."""
    folder.mkdir()
    options = ["--pipeline", "nova-sonic", "--region", "us-east-1", "--yes"]
    call([sys.executable, "-m", "voicecore", "init", "ada", *options], folder)
    call(["uv", "lock", "--quiet"], folder / "ada/agent")
    return folder / "ada/agent"


# ---- images of other tools


def toolkit(workspace: Workspace) -> BuildMethod:
    """Return the starter toolkit's Dockerfile with an agent like the examples."""
    agent = workspace.folder / "starter-toolkit"
    agent.mkdir()
    (agent / "agent.py").write_text(ONE_MODEL)
    (agent / "pyproject.toml").write_text(
        f'[project]\nname = "agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(EXAMPLE_SONIC)}\n"
    )
    tool = peer("starter-toolkit", "bedrock-agentcore-starter-toolkit")
    call([str(tool / "python"), "-c", GENERATE, str(agent)], workspace.folder)
    return emulated(workspace, "the starter toolkit's Dockerfile", agent, "agent.py")


def pipecat(workspace: Workspace) -> BuildMethod:
    """Return the Dockerfile of `pipecat init` with its project."""
    options = "-b web -t websocket -m realtime --realtime aws_nova_realtime --client-framework none"
    tool = peer("pipecat", "pipecat-ai[cli]")
    argv = [str(tool / "pipecat"), "init", "ada", "-n", "ada", *options.split(), "--no-context-hub"]
    (workspace.folder / "pipecat").mkdir()
    call(argv, workspace.folder / "pipecat")
    agent = workspace.folder / "pipecat/ada/server"
    call(["uv", "lock", "--quiet"], agent)
    return emulated(workspace, "`pipecat init`'s Dockerfile", agent, "bot.py")


def emulated(workspace: Workspace, name: str, agent: Path, edited: str) -> BuildMethod:
    """Return a build of a Dockerfile whose base, unreachable here, is replaced by a similar one."""
    dockerfile = agent / "Dockerfile"
    text = re.sub(r"(?m)^FROM \S+", f"FROM {workspace.uv_base}", dockerfile.read_text(), count=1)
    dockerfile.write_text(text)
    repository = agent.relative_to(workspace.folder).parts[0]
    target = f"{workspace.registries.ecr.host}/{repository}:latest"

    def build(daemon: DockerDaemon) -> None:
        # In two steps, like the toolkit.
        daemon.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", target, str(agent))
        daemon.docker("push", "--quiet", target)

    return BuildMethod(name, repository, agent / edited, build)


def push_uv_base(registries: Registries, folder: Path) -> str:
    """Build the base of the other tools and push it to a registry."""
    (folder / "Dockerfile").write_text(UV_BASE.format(base=registries.base))
    name = f"{registries.private.host}/uv:latest"
    with dockerd(registries.reach) as daemon:
        daemon.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", name, str(folder))
        daemon.docker("push", "--quiet", name)
    return name


# ---- starts


@dataclass(frozen=True)
class Agent:
    """An agent to start."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    loads_at_call: bool = False
    """True when it creates its pipeline at the first call instead of at startup."""


@dataclass(frozen=True)
class Start:
    """Seconds until an agent answered `/ping` and was ready, and its peak memory in MB."""

    ping: float
    warm: float
    peak: float


def starts(runs: int = STARTS) -> None:
    """Print the table of startup times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        agents = {
            "voicecore, Nova Sonic": generated(folder),
            "as the examples, Deepgram, Bedrock, Cartesia": example(folder / "4", FOUR_SERVICES,
                                                                    EXAMPLE),
            "as the examples, Nova Sonic": example(folder / "1", ONE_MODEL, EXAMPLE_SONIC),
        }  # fmt: skip
        results: dict[str, list[Start]] = {name: [] for name in agents}
        for number in range(runs + 1):
            for name, agent in agents.items():
                began = start(agent)
                if number:  # the first start fills the disk's cache
                    results[name].append(began)
    print("| agent | `/ping`, s | against voicecore | pipeline warm, s | peak MB by then |\n"
          "|---|---|---|---|---|")  # fmt: skip
    first = statistics.median(each.ping for each in next(iter(results.values())))
    for name, each in results.items():
        ping, warm, peak = (statistics.median(getattr(one, key) for one in each)
                            for key in ("ping", "warm", "peak"))  # fmt: skip
        print(f"| {name} | {ping:.2f} | {ping / first:.1f} × | {warm:.2f} | {peak:.0f} |")


def start(agent: Agent) -> Start:
    """Start an agent, wait until it is ready, and stop it."""
    port = free_port()
    env = {**os.environ, **agent.env, "PORT": str(port), "AWS_REGION": "us-east-1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        agent.argv, cwd=agent.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        while not answers_ping(port):
            if process.poll() is not None:
                raise RuntimeError(f"{agent.argv} exited with {process.returncode}")
            time.sleep(0.005)
        ping = time.perf_counter() - started
        call = connect(f"ws://127.0.0.1:{port}/ws") if agent.loads_at_call else nullcontext()
        assert process.stdout
        with call:
            # The pipeline is loaded after /ping answers, so its event is still to be read.
            if not any(b'"event": "ready"' in line for line in process.stdout):
                raise RuntimeError(f"{agent.argv} exited before it was ready")
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
    """Return the generated agent in the folders of its image, for this machine's processor."""
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
    """Return an agent like the examples, with all bytecode compiled."""
    folder.mkdir()
    (folder / "agent.py").write_text(source)
    call(["uv", "venv", "--quiet", "--python", PYTHON], folder)
    call(["uv", "pip", "install", "--quiet", "--compile-bytecode", *packages], folder)
    return Agent([".venv/bin/python", "agent.py"], folder, loads_at_call=True)


def call(argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Return the output of a command. Raises RuntimeError if it fails."""
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

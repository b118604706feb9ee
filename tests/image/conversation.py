"""A spoken conversation with the agent in an image; only the models are stand-ins."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.generated.models.agent import Running, call, started
from tests.generated.models.caller import Caller
from tests.ports import free_port
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.models import Models, Script, Turn, serve
from voicecore.image.model import PLATFORM

# Far more than necessary, except on a busy machine that emulates.
_READY_SECONDS = 240
_ANSWER_SECONDS = 60

# Graviton 2. By default QEMU 10 emulates all extensions, and onnxruntime uses SVE, with which the
# speech detector takes twice as long.
_CPU = "neoverse-n1"


@dataclass(frozen=True)
class Conversation:
    """Results of a conversation."""

    machine: str
    run: Running
    models: Models
    caller: Caller
    answer: bytes
    """Audio that the caller heard since the question began, as mono PCM16."""


async def ask(image: str, daemon: DockerDaemon, question: str, turn: Turn) -> Conversation:
    """Run `image`, wait for the greeting, ask the sample `question`, and hear the whole answer."""
    port = free_port()
    name = f"conversation-{port}"
    async with serve(Script((turn,))) as models:
        argv, env = _run(image, name, port, models)
        try:
            async with started(argv, {**os.environ, **daemon.env, **env}, port, Path()) as run:
                await run.until("ready", _READY_SECONDS)
                machine = daemon.docker("exec", name, "uname", "-m").strip()
                # An emulated agent cannot process audio as fast as an open microphone sends it.
                # Pipecat processes audio first, so the agent would never greet the caller.
                async with call(run, mutes=True) as caller:
                    await _until_spoken(caller, run, 1)
                    asked = time.monotonic()  # the answer may come before the caller has muted
                    await caller.say(question)
                    await _until_spoken(caller, run, 2)
                await run.until("session_ended", _ANSWER_SECONDS)
        finally:
            daemon.docker("rm", "--force", name, check=False)
    return Conversation(machine, run, models, caller, caller.sound(asked))


async def _until_spoken(caller: Caller, run: Running, count: int) -> None:
    """Wait until the agent has finished `count` sayings."""
    await caller.until(lambda: len(run.events("agent_said")) >= count, _ANSWER_SECONDS)
    ends = "bot-stopped-speaking"
    await caller.until(lambda: len(caller.messages(ends)) >= count, _ANSWER_SECONDS)


def _run(image: str, name: str, port: int, models: Models) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs `image`, and the environment variables that it passes on."""
    mounts = {models.reach.hosts_file: "/etc/hosts", models.reach.authority: "/authority.pem"}
    for file in mounts:
        file.chmod(0o644)  # the agent is user 1000
    trust = dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), "/authority.pem")
    env = {**models.reach.env(), **trust, "PORT": str(port), "QEMU_CPU": _CPU}
    options = ["--platform", PLATFORM, "--network", "host", "--name", name]
    options += [word for variable in env for word in ("--env", variable)]
    options += [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    return ["docker", "run", "--rm", "--init", *options, image], env

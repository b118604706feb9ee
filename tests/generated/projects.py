"""The kinds of project that `voicecore init` can create, and helpers to run things in them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import uv

from tests.files import complete_lines
from tests.ports import free_port
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import GENERATED, PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.scaffold.render import Answers, render

PATIENCE_SECONDS = 120  # that only a broken test reaches
SECRET = "a-secret-that-only-this-project-has"


@dataclass(frozen=True)
class Kind:
    """The answers to `voicecore init` that change the code."""

    transport: str
    """One transport, or several joined by "+"."""
    pipeline: str
    services: tuple[tuple[str, str], ...] = ()
    """Pairs of stage and service that differ from the default."""

    def __str__(self) -> str:
        return "-".join((self.transport, self.pipeline, *dict(self.services).values()))


EVERY_KIND = [
    kind
    for transport in TRANSPORTS
    for kind in (
        *(Kind(transport, pipeline) for pipeline in GENERATED),
        Kind(transport, "cascade", (("stt", "deepgram"), ("tts", "cartesia"))),
    )
]
# Every pair of transports, and all together, with each pipeline.
COMBINATIONS = [
    Kind("+".join(transports), pipeline)
    for transports in (*combinations(TRANSPORTS, 2), tuple(TRANSPORTS))
    for pipeline in GENERATED
]
# Tests that install environments cover each transport and each pipeline, not each pair, because a
# source file depends on one of the two only (test_projects.py). Daily and telephony have their own
# tests.
KINDS = [
    kind
    for kind in EVERY_KIND
    if kind.transport == next(iter(TRANSPORTS)) or kind == Kind("webrtc", "offline")
]
# For tests of the packages, which depend on both.
PAIR = Kind("webrtc", "nova-sonic")
# The cascade's tests do not depend on its services, nor the server's on the pipeline.
WITH_TESTS = [kind for kind in KINDS if not kind.services and kind.pipeline != "offline"]
WITH_SERVERS = [kind for kind in KINDS if kind.pipeline == "offline"]


def combination_of_this_commit() -> Kind:
    """Return one of COMBINATIONS, chosen by the hash of HEAD; without git, the last."""
    argv = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    head = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return COMBINATIONS[int(head or "-1", 16) % len(COMBINATIONS)]


@cache
def rendered(kind: Kind) -> dict[str, bytes]:
    """Return the files of a project of this kind."""
    services = services_of(PIPELINES[kind.pipeline], dict(kind.services))
    transports = tuple(kind.transport.split("+"))
    by_phone = any(TRANSPORTS[name].by_phone for name in transports)
    providers = tuple(PHONES) if by_phone else ()
    answers = Answers("support-line", transports, kind.pipeline, "us-east-1", services, providers)
    return render(answers, SECRET)


def agent_tests_of(kind: Kind) -> list[str]:
    """Return the test files of the agent that its transport adds, or that run the whole agent.

    All other files are those of the project with WebSocket, whose tests run too.
    """
    shared = rendered(Kind("websocket", kind.pipeline, kind.services))
    return [
        name
        for name, content in rendered(kind).items()
        if name.startswith("agent/internal/tests/test_")
        and (name not in shared or b"running_agent" in content)
    ]


# Environment of an agent: no credentials, and no metadata service that could provide any.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ["HOME"],
    "PYTHONUNBUFFERED": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "DEEPGRAM_API_KEY": "example",
    "CARTESIA_API_KEY": "example",
}


def only(kinds: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("project", kinds, ids=str, indirect=True)


def run(folder: Path, *argv: str) -> None:
    """Run a command in `folder`; fails with its output."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"


def run_properties(part: Path, folder: Path, name: str, *helpers: str) -> None:
    """Run a file of this folder as tests, with hypothesis, in the environment of `part`."""
    for file in (name, *helpers):
        shutil.copy(Path(__file__).with_name(f"{file}.py"), folder)
    with_hypothesis = (uv.find_uv_bin(), "run", "--frozen", "--with", "hypothesis", "python")
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder))
    run(part, *with_hypothesis, "-m", "pytest", *options, str(folder / f"{name}.py"))


@dataclass(frozen=True)
class Running:
    """An agent's process, and its log."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in complete_lines(self.log)]

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait for the first line of this event."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < deadline, self.log.read_text("utf-8")
            for line in self.lines():
                if line["event"] == event:
                    return line
            time.sleep(0.05)


@contextmanager
def running_agent(
    folder: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Run the agent in `folder`; yield when its port is open."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [folder / ".venv/bin/python", "-m", "internal.app"],
            cwd=folder,
            env={**ENVIRONMENT, "PORT": str(port), **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Running(port, process, log)
    finally:
        process.terminate()
        process.wait(60)

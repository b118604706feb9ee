"""Every project that `voicecore init` can make is clean, typed, self-contained and alive."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import uv

from voicecore.pipelines import PIPELINES, services_of
from voicecore.scaffold.render import Answers, render, write_new
from voicecore.transports import TRANSPORTS


@dataclass(frozen=True)
class Kind:
    """What init was asked for."""

    transport: str
    pipeline: str
    chosen: tuple[tuple[str, str], ...] = ()
    """(stage, service) for what is not the first choice."""

    def __str__(self) -> str:
        return "-".join((self.transport, self.pipeline, *dict(self.chosen).values()))


KINDS = [
    kind
    for transport in TRANSPORTS
    for kind in (
        *(Kind(transport, pipeline) for pipeline in PIPELINES),
        Kind(transport, "cascade", (("stt", "deepgram"), ("tts", "cartesia"))),
    )
]
# The cascade's tests do not depend on its services, and the server not on the pipeline.
WITH_TESTS = [kind for kind in KINDS if not kind.chosen]
WITH_SERVERS = [kind for kind in KINDS if kind.pipeline == "offline"]

SECRET = "a-secret-that-only-this-project-has"
PING_SECONDS = 30  # AgentCore's limit from start to healthy

# What an agent is started with: nobody's credentials, and no metadata service to ask for any.
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


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Renders a project and makes its two environments, as its user would, once a kind."""

    @cache
    def made(kind: Kind) -> Path:
        services = services_of(PIPELINES[kind.pipeline], dict(kind.chosen))
        folder = tmp_path_factory.mktemp("projects") / "support-line"
        answers = Answers("support-line", (kind.transport,), kind.pipeline, "us-east-1", services)
        write_new(render(answers, SECRET), folder)
        for part in ("agent", "server"):
            run(folder, uv.find_uv_bin(), "sync", "--quiet", "--project", part)
        return folder

    return made


@pytest.fixture(params=KINDS, ids=str)
def project(request: pytest.FixtureRequest, make: Callable[[Kind], Path]) -> Path:
    """A project of every kind; tests that need fewer say which."""
    return make(request.param)


def only(kinds: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("project", kinds, ids=str, indirect=True)


def run(folder: Path, *argv: str) -> None:
    """Run a command in `folder`; fails with its output."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"


def sources(project: Path) -> list[Path]:
    return [path for path in project.rglob("*.py") if ".venv" not in path.parts]


def test_is_lint_clean(project: Path) -> None:
    run(project, sys.executable, "-m", "ruff", "check", ".")
    run(project, sys.executable, "-m", "ruff", "format", "--check", ".")


def test_agent_is_typed(project: Path) -> None:
    run(project, *pyright(project, "agent"))


@only(WITH_SERVERS)
def test_server_is_typed(project: Path) -> None:
    run(project, *pyright(project, "server"))


def pyright(project: Path, part: str) -> list[str]:
    python = project / part / ".venv/bin/python"
    return [sys.executable, "-m", "pyright", "-p", part, "--pythonpath", str(python)]


def test_never_imports_voicecore(project: Path) -> None:
    for path in sources(project):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "voicecore"], path


def test_keeps_its_secret_out_of_git(project: Path) -> None:
    run(project, "git", "init", "--quiet")
    run(project, "git", "add", "--all")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "server/.env.example" in listed
    assert "server/.env" not in listed
    assert not [name for name in listed if SECRET in (project / name).read_text("latin-1")]


def test_answers_ping_without_credentials(project: Path, tmp_path: Path) -> None:
    with agent(project, tmp_path / "log") as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5) as answer:
            body = json.load(answer)
        assert body["status"] == "Healthy"
        assert isinstance(body["time_of_last_update"], int)
    for line in (tmp_path / "log").read_text("utf-8").splitlines():
        assert {"time", "level", "event", "session_id"} <= json.loads(line).keys()


@contextmanager
def agent(project: Path, log: Path) -> Iterator[int]:
    """The agent's process until the block ends; gives the port once /ping is answered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [project / "agent/.venv/bin/python", "app.py"],
            cwd=project / "agent",
            env=ENVIRONMENT | {"PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + PING_SECONDS
        while True:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@only(WITH_TESTS)
def test_agents_own_tests_pass(project: Path) -> None:
    """Offline: a spoken question, a spoken answer. With AWS's models: all but that."""
    run(project, str(project / "agent/.venv/bin/python"), "-m", "pytest", "-q", "tests")


@only(WITH_SERVERS)
def test_servers_own_tests_pass(project: Path) -> None:
    run(project, str(project / "server/.venv/bin/python"), "-m", "pytest", "-q", "server")

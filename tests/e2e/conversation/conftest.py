"""A generated offline project, and the two commands that talk to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import require

SAMPLES = Path(__file__).parents[3] / "voicecore" / "samples"

Event = dict[str, Any]


@dataclass(frozen=True)
class Talk:
    """The output of one `voicecore talk --json`."""

    code: int
    events: list[Event]
    stderr: str

    def said(self, event: str) -> list[str]:
        return [e["text"] for e in self.events if e["event"] == event]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("Python 3.13")
    folder = tmp_path_factory.mktemp("conversation")
    subprocess.run(
        [sys.executable, "-m", "voicecore", "init", "ada", "--pipeline", "offline", "--yes"],
        cwd=folder,
        check=True,
    )
    return folder / "ada"


def talk(project: Path, *arguments: str, said: str | None = None, **env: str) -> Talk:
    """Run `voicecore talk --json` with `env` added to the environment, and `said` as its input."""
    done = subprocess.run(
        [sys.executable, "-m", "voicecore", "talk", "--json", *arguments],
        cwd=project, env={**os.environ, **env},
        input=said, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return Talk(done.returncode, events, done.stderr)


def speak(*samples: str) -> list[str]:
    """Return the flags that speak these samples, in this order."""
    return [part for name in samples for part in ("--input", str(SAMPLES / f"{name}.wav"))]


@contextmanager
def dev(project: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run `voicecore dev` until its agent is warm; its JSON events are on stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", "voicecore", "dev", "--json", *flags],
        cwd=project, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        waiting = {"serving", "ready"}
        while waiting:
            line = process.stdout.readline()
            assert line, f"dev ended before {waiting}"
            waiting.discard(json.loads(line)["kind"])
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

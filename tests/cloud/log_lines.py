"""Owns the log lines of an agent in AWS, and `voicecore logs` that reads or follows them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from tests.standins.aws.services import logs as standin
from voicecore.commands import logs
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import Output
from voicecore.options.logs import LogsOptions

RUNTIME = "line_dev-abcdefghij"
SESSION = "3f9c2a71-0000-4000-8000-000000000001"
OTHER = "77777777-0000-4000-8000-000000000002"


def written(event: str, session: str = SESSION, level: str = "INFO", **fields: Any) -> str:
    """Return a line as the logs.py of a generated agent writes it."""
    head = {"time": f"{datetime.now(UTC).isoformat()}", "level": level, "event": event}
    return json.dumps({**head, "session_id": session, **fields})


CALL = (
    written("session_started", transport="websocket"),
    written("user_said", turn=1, text="What time is it?"),
    written(
        "latency", turn=1, total_ms=812.0,
        stages=[{"key": "transcription", "ms": 300.0}, {"key": "first_request", "ms": 400.0}],
    ),
    written("agent_said", turn=1, text="Five o'clock.", interrupted=False),
    written("log", message="Connected to something", logger="pipecat"),
    written("log", level="WARNING", message="Slow answer", logger="pipecat"),
    written("session_ended", reason="hung up", seconds=12.0, turns=1),
)  # fmt: skip


@pytest.fixture
def line(voicecore: Voicecore, tmp_path: Path) -> Callable[..., Result]:
    """Run `voicecore logs` in a project named line."""
    assert voicecore("init", "line", "--pipeline", "nova-sonic", "--yes").code == 0
    return lambda *flags, **more: voicecore("logs", *flags, cwd=tmp_path / "line", **more)


def texts_of(result: Result) -> list[str]:
    """Return the text of each line printed with --json."""
    assert result.code == ExitCode.OK, result.stderr
    rows = [json.loads(row) for row in result.stdout.splitlines()]
    events = [row.get("event", row) for row in rows]
    return [event.get("text") or event.get("message") or event["event"] for event in events]


def put(aws: Aws, group: str, stream: str, at: datetime, *texts: str) -> None:
    standin.write_lines(aws.cloud, aws.caller.account, aws.region, group, stream, texts, at)


@dataclass
class Following:
    """Follows the log, and presses Ctrl-C after a number of polls."""

    root: Path
    polls: list[Callable[[], object]] = field(default_factory=list)

    def run(self, env: dict[str, str] | None = None, **options: Any) -> Result:
        """Follow; run one of `polls` after each poll of AWS, and end after the last."""
        steps = iter(self.polls)

        def pause(seconds: float) -> None:
            step = next(steps, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        stdout, stderr = io.StringIO(), io.StringIO()
        context = Context(
            cwd=self.root, env=env or {}, output=Output(stdout, stderr), interactive=False
        )
        given = replace(LogsOptions(follow=True, json=True), **options)
        code = logs.run(context, given, pause)
        return Result(int(code), stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def following(line: object, tmp_path: Path) -> Following:
    return Following(tmp_path / "line")


@contextmanager
def process(root: Path, aws: Aws, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "voicecore", "logs", *flags],
        cwd=root, env=os.environ | aws.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        try:
            yield started
        finally:
            started.kill()

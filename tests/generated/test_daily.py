"""Calls over Daily through server, local AgentCore Runtime and agent, with a fake of Daily.

The fakes are the project's own (agent/internal/tests): the REST API and webhook as Daily documents
them, and the library. Below the library nothing can be tested without an account.
"""

from __future__ import annotations

import array
import asyncio
import importlib
import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.generated.projects import SECRET, Kind, run
from tests.generated.test_projects import pyright
from tests.standins.daily.callers import caller_server
from tests.standins.dev import dev, events_until

KIND = Kind("daily", "offline")


@dataclass(frozen=True)
class Line:
    """A running project, and the fake of Daily."""

    url: str
    room: Any
    """The module over_daily of the project's tests."""
    question: Path

    async def talk(self, voice: Any) -> None:
        """Hear the greeting, ask for the time, hear an answer."""
        speaking = asyncio.create_task(voice.speak())
        await voice.caller.answered()
        voice.caller.spoken.clear()
        voice.caller.say(self.question)
        await voice.caller.answered(2)
        speaking.cancel()
        assert voice.caller.heard_speech()
        assert voice.caller.texts("bot-output")[-1].startswith("It is ")


@pytest.fixture(scope="module")
def line(make: Callable[[Kind], Path], monkeypatch_module: pytest.MonkeyPatch) -> Iterator[Line]:
    project = make(KIND)
    monkeypatch_module.syspath_prepend(str(project / "agent"))
    room = importlib.import_module("internal.tests.over_daily")
    cloud = importlib.import_module("internal.tests.daily_cloud")
    env = room.ENVIRONMENT | {"DAILY_DIALIN_HMAC": cloud.HMAC}
    for name, value in env.items():
        monkeypatch_module.setenv(name, value)
    with dev(project, "--no-screen") as process:
        events = events_until(process, "serving", "ready")
        url = next(event["server"] for event in events if event["kind"] == "serving")
        yield Line(url, room, project / "tests/question.wav")
    room.RUN.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "internal"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize("part", ["agent", "server"])
def test_project_is_typed(make: Callable[[Kind], Path], part: str) -> None:
    project = make(KIND)
    run(project, *pyright(project, part))


TESTS = {"agent": "agent/internal/tests/test_daily.py", "server": "server"}


@pytest.mark.parametrize("part", TESTS)
def test_tests_of_the_project_pass(make: Callable[[Kind], Path], part: str) -> None:
    project = make(KIND)
    run(project, str(project / part / ".venv/bin/python"), "-m", "pytest", "-q", TESTS[part])


def test_talk_joins_a_room(line: Line, tmp_path: Path) -> None:
    """`talk` sends the requests of a browser: POST /start, the room, DELETE."""
    cloud = line.room.CLOUD
    recording = tmp_path / "both.wav"
    argv = [sys.executable, "-m", "voicecore", "talk", "--url", line.url, "--transport", "daily"]
    argv += ["--json", "--input", str(line.question), "--record", str(recording)]
    with caller_server(importlib.import_module("internal.tests.daily_cloud"), cloud) as cloud_url:
        # PYTHONPATH has the fake library, from the server's environment.
        env = {**os.environ, "SESSION_API_KEY": SECRET, "DAILY_CLOUD": cloud_url}
        done = subprocess.run(
            argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(text) for text in done.stdout.splitlines()]
    answers = [event["text"] for event in events if event["event"] == "agent_said"]
    assert answers[-1].startswith("It is "), answers
    with wave.open(str(recording)) as file:
        stereo = array.array("h", file.readframes(file.getnframes()))
    assert max(stereo[1::2]) > 500  # the agent's voice
    assert not cloud.rooms


def test_dial_in_reaches_the_agent(line: Line) -> None:
    async def call() -> None:
        cloud = line.room.CLOUD
        voice = line.room.RoomCaller(None)
        webhook = f"{line.url}/daily/dialin"
        assert await asyncio.to_thread(cloud.dial, webhook, voice) == 200
        [voice.room] = cloud.rooms.values()
        await line.talk(voice)
        assert not cloud.held  # no caller hears hold music

    asyncio.run(call())

"""Calls in real rooms at Daily: created, joined, and deleted afterwards.

    DAILY_API_KEY=… python -m pytest -m daily tests/daily

This takes two minutes, costs some cents, and runs an agent of the offline pipeline on this machine.
The account must have no other calls meanwhile. Phone calls need a number with a monthly fee:
README.md of a project describes them.
"""

from __future__ import annotations

import array
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import uv

from tests.generated.projects import SECRET, Kind, rendered, run
from tests.standins.dev import dev, events_until
from voicecore.scaffold.render import write_new

pytestmark = pytest.mark.daily

SAMPLES = Path(__file__).parents[2] / "voicecore/samples"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "support-line"
    write_new(rendered(Kind("daily", "offline")), folder)
    run(folder, uv.find_uv_bin(), "sync", "--quiet", "--project", "agent")
    return folder


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """Yield the URL of the session server of `voicecore dev`."""
    assert os.environ.get("DAILY_API_KEY"), "set DAILY_API_KEY, of dashboard.daily.co/developers"
    with dev(project) as process:
        events = events_until(process, "serving", "ready")
        yield next(event["server"] for event in events if event["kind"] == "serving")


def test_call_in_a_room(project: Path, server: str, tmp_path: Path) -> None:
    recorded = tmp_path / "both.wav"
    argv = [sys.executable, "-m", "voicecore", "talk", "--url", server, "--transport", "daily"]
    argv += ["--json", "--input", str(project / "tests/question.wav"), "--record", str(recorded)]
    with subprocess.Popen(
        argv, env={**os.environ, "SESSION_API_KEY": SECRET}, stdout=subprocess.PIPE, text=True
    ) as talk:
        assert talk.stdout
        events = [json.loads(next(talk.stdout))]
        created = rooms_of_calls()
        events += map(json.loads, talk.stdout)
    assert talk.returncode == 0, events
    assert [room["privacy"] for room in created] == ["private"]
    answers = [event["text"] for event in events if event["event"] == "agent_said"]
    assert answers[-1].startswith("It is "), answers
    with wave.open(str(recorded)) as file:
        both = array.array("h", file.readframes(file.getnframes()))
    assert max(both[1::2]) > 500  # the agent's voice
    assert not rooms_of_calls()


def test_ctrl_c_leaves_no_room(server: str) -> None:
    argv = [sys.executable, "-m", "voicecore", "talk", "--url", server, "--transport", "daily"]
    with subprocess.Popen(
        [*argv, "--json", "--input", str(SAMPLES / "what-time-is-it.wav")],
        env={**os.environ, "SESSION_API_KEY": SECRET}, stdout=subprocess.PIPE, text=True,
    ) as talk:  # fmt: skip
        assert talk.stdout
        assert json.loads(next(talk.stdout))["event"] == "connected"
        talk.send_signal(signal.SIGINT)
    assert talk.returncode == 130
    assert not rooms_of_calls()


def rooms_of_calls() -> list[dict[str, Any]]:
    """Return the rooms that session servers of this account have created."""
    url = os.environ.get("DAILY_API_URL") or "https://api.daily.co/v1"
    key = {"Authorization": f"Bearer {os.environ['DAILY_API_KEY']}"}
    with urlopen(Request(f"{url}/rooms", headers=key), timeout=60) as answer:
        return [room for room in json.load(answer)["data"] if room["name"].startswith("call-")]

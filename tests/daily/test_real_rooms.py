"""A call in a room that is really at Daily: made, joined, talked in, and gone afterwards.

    DAILY_API_KEY=… python -m pytest -m daily tests/daily

takes two minutes and some cents, and an agent of the offline pipeline on this machine. Calls by
telephone take a number that costs by the month: for those, README.md of a project says what to do.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import uv

from tests.cli.test_dev import dev, events_until
from tests.generated.projects import SECRET, Kind, rendered, run
from voicecore.scaffold.render import write_new

pytestmark = pytest.mark.daily

CALLER = Path(__file__).with_name("caller.py")


def ask(method: str, url: str, key: str, body: Any = None, **headers: str) -> Any:
    """What an HTTP API answers, as JSON."""
    told = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, told, method=method), timeout=60) as answer:
        return json.loads(answer.read() or b"null")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "support-line"
    write_new(rendered(Kind("daily", "offline")), folder)
    run(folder, uv.find_uv_bin(), "sync", "--quiet", "--project", "agent")
    return folder


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    """The session server of `voicecore dev`."""
    assert os.environ.get("DAILY_API_KEY"), "set DAILY_API_KEY, of dashboard.daily.co/developers"
    with dev(project) as process:
        events = events_until(process, "serving", "ready")
        yield next(event["server"] for event in events if event["kind"] == "serving")


def test_a_call_in_a_room(project: Path, server: str) -> None:
    call = ask("POST", f"{server}/start", SECRET, {"transport": "daily"})
    name = call["roomUrl"].rpartition("/")[2]
    rooms = os.environ.get("DAILY_API_URL") or "https://api.daily.co/v1"
    made = ask("GET", f"{rooms}/rooms/{name}", os.environ["DAILY_API_KEY"])
    assert made["privacy"] == "private"
    python = str(project / "agent/.venv/bin/python")
    question = str(project / "tests/question.wav")
    argv = [python, str(CALLER), call["roomUrl"], call["roomToken"], question]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    said = [m["data"]["text"] for m in messages if m["type"] == "bot-output"]
    assert any(text.startswith("It is ") for text in said), said
    assert messages[-1]["type"] == "heard" and messages[-1]["data"] > 500
    token = {"X-Session-Token": call["token"]}
    ask("DELETE", f"{server}/sessions/{call['sessionId']}", SECRET, **token)
    with pytest.raises(HTTPError, match="404"):
        ask("GET", f"{rooms}/rooms/{name}", os.environ["DAILY_API_KEY"])

"""A call shows the warnings of the agent that it starts, and the steps of `voicecore dev`."""

from __future__ import annotations

import io
import json

from voicecore.console.output import Output
from voicecore.talk.started_dev import StartupLines


def log(level: str, message: str) -> str:
    text = json.dumps({"level": level, "event": "log", "session_id": "", "message": message})
    return json.dumps({"kind": "log", "text": text, "session_id": None, "hint": None})


def test_agents_warnings_are_shown_until_it_is_ready() -> None:
    shown = io.StringIO()
    startup = StartupLines(Output(io.StringIO(), shown))
    for line in (
        "• Installing the packages of agent/",
        log("INFO", "Pipecat 1.14.0"),
        '{"kind": "serving", "runtime": "http://127.0.0.1:8080"}',
        '{"kind": "log", "text": "WARNING of something else"}',
        log("WARNING", "No rule calls the tool book_table."),
        '{"kind": "ready", "text": "version 1 is warm"}',
        log("WARNING", "No rule calls the tool book_table."),  # the spare agent for the next call
    ):
        startup.tell(line)
    assert shown.getvalue().splitlines() == [
        "• Installing the packages of agent/",
        "! No rule calls the tool book_table.",
    ]

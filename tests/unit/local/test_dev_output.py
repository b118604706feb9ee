"""Lines of `voicecore dev`: what is news and what is not."""

from __future__ import annotations

import io
import json

import pytest

from voicecore.console.output import Output
from voicecore.local.dev_output import DevOutput
from voicecore.local.sessions.events import RuntimeEvent

SESSION = "3f9c2a71-0000-4000-8000-000000000001"
READY = json.dumps({"event": "ready", "level": "INFO", "seconds": 8.5, "peak_mb": 426})
EVENTS = [
    RuntimeEvent("log", READY),
    RuntimeEvent("ready", "version 1 is warm"),
    RuntimeEvent("started", "version 1", SESSION),
    RuntimeEvent("log", READY),
    RuntimeEvent("ready", "version 1 is warm"),
    RuntimeEvent("ready", "version 2 is warm"),
    RuntimeEvent("log", READY, SESSION),
]


@pytest.mark.parametrize("as_json", [False, True])
def test_readiness_of_a_version_is_news_once(as_json: bool) -> None:
    data, messages = io.StringIO(), io.StringIO()
    output = DevOutput(
        Output(data, messages), as_json=as_json, use_screen=False, on_closed=lambda: None
    )
    for event in EVENTS:
        output.event(event)
    if as_json:
        assert len(data.getvalue().splitlines()) == len(EVENTS)
    else:
        assert messages.getvalue().splitlines() == [
            "• version 1 is warm",
            "• 3f9c2a71  version 1",
            "• version 2 is warm",
            "3f9c2a71  agent ready after 8.5 s, 426 MB",
        ]

"""What every spoken conversation must leave behind, whatever the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.generated.models.agent import Running


def check_latency(latency: Mapping[str, Any]) -> None:
    """One turn's time from the end of speech to the first sound, and where it went."""
    assert latency["turn"] == 1
    assert latency["total_ms"] > 0
    assert latency["stages"]
    assert all(stage["label"] and stage["ms"] >= 0 for stage in latency["stages"])


def check_lines(run: Running) -> None:
    """What the agent wrote is JSON lines that begin and end a session, without an error."""
    assert run.noise == []
    assert run.errors == []
    assert [line["turn"] for line in run.events("user_said")] == [1, 2, 3]
    assert [line["turn"] for line in run.events("latency")] == [1, 2, 3]
    (started,), (ended,) = run.events("session_started"), run.events("session_ended")
    assert (started["transport"], started["resumed"]) == ("websocket", False)
    assert ended["turns"] == 3
    assert len({line["session_id"] for line in run.lines if line["event"] != "log"}) == 1

"""`voicecore sessions` and `voicecore stop` against the AWS stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_status import runtime_id
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

OLD, NEW = "0" * 36, "1" * 36


def start(aws: Aws, session: str, minutes: int, *events: str, endpoint: str = "dev") -> None:
    """Start a session so many minutes ago, whose agent logs these events."""
    (runtime,) = aws.client("bedrock-agentcore-control").list_agent_runtimes()["agentRuntimes"]
    aws.client("bedrock-agentcore").invoke_agent_runtime(
        agentRuntimeArn=runtime["agentRuntimeArn"],
        qualifier=endpoint,
        runtimeSessionId=session,
        payload=b"{}",
    )
    lines = [
        json.dumps({"event": event, "session_id": session, "transport": "webrtc"})
        for event in ("session_started", *events)
    ]
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    aws.agent_says(runtime_id(aws), *lines, session=session, endpoint=endpoint, at=at)


def test_sessions_are_listed_and_stopped(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    missing = voicecore("sessions", cwd=deployer.root)
    assert missing.code == ExitCode.NOT_DEPLOYED
    use_exported_policies(monkeypatch, aws, deployer)
    assert deployer.deploy().code == ExitCode.OK
    assert "No session in the last 8 hours" in voicecore("sessions", cwd=deployer.root).stderr
    start(aws, OLD, 150)
    start(aws, NEW, 1, "user_said", "agent_said", endpoint="DEFAULT")
    start(aws, "2" * 36, 5, "session_ended")

    shown = voicecore("sessions", cwd=deployer.root)
    assert shown.code == ExitCode.OK, shown.stderr
    new, old = shown.stdout.splitlines()
    assert NEW in new and "1 turn" in new and "webrtc" in new and "quiet" not in new
    assert "2 h " in old and f"quiet; to stop it, run:  voicecore stop {OLD}" in old
    listed = voicecore("sessions", "--ended", "--json", cwd=deployer.root).json["sessions"]
    states = {each["session"][0]: each["state"] for each in listed}
    assert states == {"0": "open", "1": "open", "2": "ended"}

    asked = voicecore("stop", "--older", "2h", cwd=deployer.root)
    assert asked.code == ExitCode.USAGE and "no session was stopped" in asked.stderr
    stopped = voicecore("stop", "--older", "2h", "--yes", "--json", cwd=deployer.root)
    assert stopped.json == {"sessions": [OLD], "stopped": 1, "ended_before": 0}
    again = voicecore("stop", OLD, cwd=deployer.root)
    assert again.code == ExitCode.OK and "1 had ended already" in again.stderr
    assert "Stopped 1 session." in voicecore("stop", "11", cwd=deployer.root).stderr
    unknown = voicecore("stop", "9", cwd=deployer.root)
    assert unknown.code == ExitCode.USAGE and "There is no session 9" in unknown.stderr
    expect_granted(aws, deployer, "agent-public")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "in one way"),
        (["0", "--all"], "in one way"),
        (["--older", "soon"], "--older 'soon' is not a time"),
    ],
)
def test_sessions_to_stop_are_selected_in_one_way(
    aws: Aws, deployer: Deployer, voicecore: Voicecore, words: list[str], text: str
) -> None:
    refused = voicecore("stop", *words, "--yes", cwd=deployer.root)
    assert refused.code == ExitCode.USAGE and text in refused.stderr
    assert not list(aws.journal)

"""`voicecore traces` of an agent in AWS, and the ways in which AWS has no traces."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.log_lines import RUNTIME, SESSION, put
from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from tests.standins.aws.services.xray import set_destination, span_line
from voicecore.console.errors import ExitCode

OWN = f"/aws/bedrock-agentcore/runtimes/{RUNTIME}-DEFAULT"
ON = "\n[observability]\ntraces = true\n"


def spans(runtime: str = RUNTIME, session: str = SESSION) -> list[str]:
    """Return the spans of a call of one turn, in the form of aws/spans."""
    now, own = time.time(), {"session.id": session}
    turn = {"turn.number": 1, "turn.user_bot_latency_seconds": 1.5}
    of_call = {"transport": "websocket", "reason": "client left"}
    return [
        span_line("llm", "l", "t", now - 8, now - 7, runtime, **own),
        span_line("turn", "t", "c", now - 10, now - 5, runtime, **own, **turn),
        span_line("conversation", "c", "", now - 12, now - 4, runtime, **own, **of_call),
    ]


@pytest.fixture
def traces(line: object, voicecore: Voicecore, tmp_path: Path) -> Callable[..., Result]:
    """Run `voicecore traces` in a project named line, whose traces are on."""
    with (tmp_path / "line/voicecore.toml").open("a") as file:
        file.write(ON)
    return lambda *flags: voicecore("traces", *flags, cwd=tmp_path / "line")


@pytest.mark.parametrize(("group", "stream"), [(OWN, "spans"), ("aws/spans", "default")])
def test_spans_are_read_from_both_places(
    aws: Aws, traces: Callable[..., Result], group: str, stream: str
) -> None:
    aws.agent_says(RUNTIME, "a line of its log", session=SESSION)
    now = datetime.now(UTC)
    put(aws, group, stream, now, *spans())
    if group == "aws/spans":
        put(aws, group, stream, now, *spans("other_dev-0123456789", "of another agent"))
    (call,) = traces("--json").json["calls"]
    assert (call["session"], call["turns"], call["transport"]) == (SESSION, 1, "websocket")
    assert "answered after 1.50 s" in traces(SESSION[:8]).stdout
    assert traces(SESSION[:8], "--since", "1w", "--slow", "2s").code == ExitCode.OK


def test_spans_of_before_are_not_shown(aws: Aws, traces: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, "a line", session=SESSION)
    set_destination(aws.cloud, "CloudWatchLogs", "ACTIVE")
    put(aws, OWN, "spans", datetime.now(UTC) - timedelta(days=2), *spans())
    refused = traces()
    assert "no traces of this time" in refused.stderr and "voicecore talk" in refused.stderr
    assert traces("--since", "1w").code == ExitCode.OK


@pytest.mark.parametrize(
    ("destination", "status", "message", "hint"),
    [
        ("XRay", "ACTIVE", "Transaction Search is off", "update-trace-segment-destination"),
        ("CloudWatchLogs", "PENDING", "Transaction Search is pending", "within some minutes"),
    ],
)
def test_transaction_search_that_is_not_on_is_named(
    aws: Aws, traces: Callable[..., Result], destination: str, status: str, message: str, hint: str
) -> None:
    aws.agent_says(RUNTIME, "a line", session=SESSION)
    set_destination(aws.cloud, destination, status)
    refused = traces()
    assert message in refused.stderr and hint in refused.stderr


def test_identity_that_may_not_ask_is_told_the_rest(
    aws: Aws, traces: Callable[..., Result]
) -> None:
    aws.agent_says(RUNTIME, "a line", session=SESSION)
    aws.faults.deny("xray:*")
    assert "no traces of this time" in traces().stderr


def test_stage_without_traces_or_deployment(
    aws: Aws, line: object, voicecore: Voicecore, tmp_path: Path
) -> None:
    folder = tmp_path / "line"
    refused = voicecore("traces", cwd=folder)
    assert refused.code == ExitCode.NOT_DEPLOYED
    assert "is not deployed" in refused.stderr and "--local" in refused.stderr
    aws.agent_says(RUNTIME, "a line", session=SESSION)
    off = voicecore("traces", cwd=folder)
    assert "they are off in voicecore.toml" in off.stderr and "[observability]" in off.stderr


def test_plan_names_what_traces_need_and_cost(aws: Aws, deployer: Deployer) -> None:
    settings = deployer.root / "voicecore.toml"
    settings.write_text(settings.read_text() + ON)
    refused = deployer.deploy(dry_run=True)
    assert "does not list aws-opentelemetry-distro" in refused.stderr
    assert "uv add --project agent" in refused.stderr
    packages = deployer.root / "agent/pyproject.toml"
    listed = 'dependencies = [\n    "aws-opentelemetry-distro>=0.18",'
    packages.write_text(packages.read_text().replace("dependencies = [", listed, 1))
    planned = deployer.deploy(dry_run=True)
    assert planned.code == ExitCode.OK
    assert "Transaction Search is off" in planned.stderr
    assert "aws xray update-trace-segment-destination --region us-east-1" in planned.stderr
    assert "Traces: about $0.02 for 1,000 minutes of calls" in planned.stderr

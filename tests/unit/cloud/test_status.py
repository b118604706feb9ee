"""What is made of AWS's answers on how a stage is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from voicecore.cloud.deploy.cloudformation import Live
from voicecore.cloud.deploy.ecs_service import Fleet
from voicecore.cloud.observe.status import (
    Found,
    Server,
    StageStatus,
    calls_in,
    grouped,
    kind_of,
    metrics_of,
    standing_costs,
    told_of,
)
from voicecore.commands.status import document_of, lines_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def stream(name: str, last: datetime | None = NOW) -> dict[str, Any]:
    times = {"firstEventTimestamp": last, "lastEventTimestamp": last}
    return {"logStreamName": name} | {k: int(v.timestamp() * 1000) for k, v in times.items() if v}


def test_the_last_sessions_newest_first() -> None:
    streams = [
        stream(f"2026/11/22/[runtime-logs-s{number}]u", NOW - timedelta(minutes=number))
        for number in (3, 1, 2, 9, 8, 7)
    ]
    others = [stream("otel-rt-logs"), stream("2026/11/22/[runtime-logs]u"),
              stream("2026/11/22/[runtime-logs-empty]u", None)]  # fmt: skip
    found = calls_in([*streams, *others])
    assert [call.session for call in found] == ["s1", "s2", "s3", "s7", "s8"]
    assert found[0].last == NOW - timedelta(minutes=1)


def dimensions(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def test_usage_is_counted_once_and_only_the_stages() -> None:
    mine = dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_dev::DEFAULT")
    other = dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_dev::dev")
    listed = [
        dimensions(Service="AgentCore.Runtime"),
        dimensions(Name="line_dev::DEFAULT"),
        mine,
        dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_prod::DEFAULT"),
        other,
    ]
    assert metrics_of(listed, "line_dev", ("DEFAULT", "dev")) == [mine, other]
    assert metrics_of([], "line_dev", ("DEFAULT",)) == []


def test_what_stands_costs_by_the_hour() -> None:
    types = {"AWS::EC2::NatGateway": 2, "AWS::EC2::VPC": 1}
    (item,) = standing_costs(types, 100, "network")
    assert item.what == "NatGateway × 2 (network)"
    assert item.dollars == pytest.approx(2 * 100 * 0.045)


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:ec2:us-east-1:1:natgateway/nat-1", "ec2:natgateway"),
        ("arn:aws:logs:us-east-1:1:log-group:/aws/x", "logs:log-group"),
        ("arn:aws:bedrock-agentcore:r:1:runtime/a-b", "bedrock-agentcore:runtime"),
        (
            "arn:aws:bedrock-agentcore:r:1:runtime/a-b/runtime-endpoint/dev",
            "bedrock-agentcore:runtime-endpoint",
        ),
        ("arn:aws:s3:::bucket", "s3:bucket"),
    ],
)
def test_what_an_arn_is_of(arn: str, kind: str) -> None:
    assert kind_of(arn) == kind


def test_tagged_things_by_project_and_stage() -> None:
    def tagged(arn: str, project: str, stage: str) -> dict[str, Any]:
        tags = {"voicecore:project": project, "voicecore:stage": stage}
        return {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}

    found = grouped(
        [
            tagged("arn:aws:ec2:r:1:natgateway/nat-1", "line", "shared"),
            tagged("arn:aws:ec2:r:1:elastic-ip/e-1", "line", "shared"),
            tagged("arn:aws:iam::1:role/x", "line", "dev"),
        ],
        "us-east-1",
    )
    assert found == [
        Found("line", "shared", "us-east-1", {"ec2:natgateway": 1, "ec2:elastic-ip": 1}),
        Found("line", "dev", "us-east-1", {"iam:role": 1}),
    ]
    assert found[0].month == pytest.approx(36.50)


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ({"StackResourceDriftStatus": "DELETED"}, "Role of s was deleted"),
        (
            {
                "StackResourceDriftStatus": "MODIFIED",
                "PropertyDifferences": [{"PropertyPath": "/Tags/0"}, {"PropertyPath": "/Name"}],
            },
            "Role of s was changed: Tags/0, Name",
        ),
    ],
)
def test_drift_in_words(drift: dict[str, Any], said: str) -> None:
    assert told_of({"LogicalResourceId": "Role", **drift}, "s") == said


def test_a_stage_that_is_not_deployed() -> None:
    found = StageStatus("line", "prod", "1", "us-east-1")
    text = "\n".join("".join(span.text for span in line) for line in lines_of(found, NOW))
    assert "voicecore deploy --stage prod" in text
    assert document_of(found)["deployed"] is False


def test_a_server_on_ecs_is_told_with_its_tasks_calls_and_price() -> None:
    tasks = Fleet("task", "IN_PROGRESS", "", 2, 2, 0, 0, {"healthy": 2, "draining": 1}, 12)
    stack = Live("id", "voicecore-x-dev-server", "UPDATE_IN_PROGRESS")
    server = Server(stack, "https://x/", "", "Active", "", tasks, 82.6)
    found = StageStatus("x", "dev", "1", "us-east-1", server=server)
    text = "\n".join("".join(str(span.text) for span in line) for line in lines_of(found, NOW))
    for words in (
        "Active  https://x/",
        "2 of 2 tasks running, 1 draining, 2 healthy  IN_PROGRESS",
        "about 12 calls are open  82.60 $ a month while nobody calls",
        "old tasks keep their calls",
    ):
        assert words in text, text
    assert "did not come up" not in text
    document = document_of(found)["server"]
    assert (document["tasks"]["calls"], document["month"]) == (12, 82.6)

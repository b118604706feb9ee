"""The status of a stage, from AWS's answers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from voicecore.cloud.observe.cost import hours_between, resource_costs, usage_dimensions
from voicecore.cloud.observe.drift import drift_text
from voicecore.cloud.observe.projects import TaggedResources, group_by_stage, kind_of
from voicecore.cloud.observe.status import ServerStatus, StageStatus, last_sessions
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.ecs_service import EcsService
from voicecore.commands.status import document_of, lines_of, project_lines

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def stream(name: str, last: datetime | None = NOW) -> dict[str, Any]:
    times = {"firstEventTimestamp": last, "lastEventTimestamp": last}
    return {"logStreamName": name} | {k: int(v.timestamp() * 1000) for k, v in times.items() if v}


def test_last_sessions_are_newest_first() -> None:
    streams = [
        stream(f"2026/11/22/[runtime-logs-s{number}]u", NOW - timedelta(minutes=number))
        for number in (3, 1, 2, 9, 8, 7)
    ]
    others = [stream("otel-rt-logs"), stream("2026/11/22/[runtime-logs]u"),
              stream("2026/11/22/[runtime-logs-empty]u", None)]  # fmt: skip
    found = last_sessions([*streams, *others])
    assert [each.session for each in found] == ["s1", "s2", "s3", "s7", "s8"]
    assert found[0].last == NOW - timedelta(minutes=1)


def dimensions(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def test_usage_of_the_stage_is_counted_once() -> None:
    mine = dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_dev::DEFAULT")
    other = dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_dev::dev")
    listed = [
        dimensions(Service="AgentCore.Runtime"),
        dimensions(Name="line_dev::DEFAULT"),
        mine,
        dimensions(Service="AgentCore.Runtime", Resource="arn", Name="line_prod::DEFAULT"),
        other,
    ]
    assert usage_dimensions(listed, "line_dev", ("DEFAULT", "dev")) == [mine, other]
    assert usage_dimensions([], "line_dev", ("DEFAULT",)) == []


def test_stack_from_the_future_of_a_slow_clock_costs_nothing() -> None:
    assert hours_between(NOW + timedelta(minutes=3), NOW) == 0
    assert hours_between(NOW - timedelta(minutes=90), NOW) == 1.5


def test_resources_cost_per_hour() -> None:
    types = {"AWS::EC2::NatGateway": 2, "AWS::EC2::VPC": 1}
    (item,) = resource_costs(types, 100, "network")
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
def test_kind_of_an_arn(arn: str, kind: str) -> None:
    assert kind_of(arn) == kind


def test_tagged_resources_are_grouped_by_project_and_stage() -> None:
    def tagged(
        arn: str, project: str, stage: str, more: dict[str, str] | None = None
    ) -> dict[str, Any]:
        tags = {"voicecore:project": project, "voicecore:stage": stage} | (more or {})
        return {"ResourceARN": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}

    found = group_by_stage(
        [
            tagged("arn:aws:ec2:r:1:natgateway/nat-1", "line", "shared"),
            tagged("arn:aws:ec2:r:1:elastic-ip/e-1", "line", "shared"),
            tagged(
                "arn:aws:iam::1:role/x", "line", "dev", {"Owner": "ada", "aws:x": "y", "Name": "z"}
            ),
            tagged("arn:aws:iam::1:role/z", "line", "dev", {"Owner": "bob"}),
            tagged("arn:aws:iam::1:role/y", "line", "dev", {"voicecore:id": "3f9"}),
        ],
        "us-east-1",
    )
    assert found == [
        TaggedResources("line", "shared", "us-east-1", {"ec2:natgateway": 1, "ec2:elastic-ip": 1}),
        TaggedResources("line", "dev", "us-east-1", {"iam:role": 2}, "", {"Owner": "ada, bob"}),
        TaggedResources("line", "dev", "us-east-1", {"iam:role": 1}, "3f9"),
    ]
    lines = ["".join(span.text for span in line) for line in project_lines(found)]
    assert "Owner=ada, bob" in lines[1]
    assert ["id none" in line for line in lines] == [False, True, False]
    assert "line · dev  id 3f9  us-east-1" in lines[2]
    assert found[0].month == pytest.approx(36.50)


@pytest.mark.parametrize(
    ("drift", "text"),
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
def test_drift_is_described_in_words(drift: dict[str, Any], text: str) -> None:
    assert drift_text({"LogicalResourceId": "Role", **drift}, "s") == text


def test_stage_that_is_not_deployed_shows_the_deploy_command() -> None:
    found = StageStatus("line", "prod", "1", "us-east-1")
    text = "\n".join("".join(span.text for span in line) for line in lines_of(found, NOW))
    assert "voicecore deploy --stage prod" in text
    assert document_of(found)["deployed"] is False


def test_server_on_ecs_is_shown_with_tasks_calls_and_cost() -> None:
    tasks = EcsService("task", "IN_PROGRESS", "", 2, 2, 0, 0, {"healthy": 2, "draining": 1}, 12)
    stack = DeployedStack("id", "voicecore-x-dev-server", "UPDATE_IN_PROGRESS")
    server = ServerStatus(stack, "https://x/", "", "Active", "", tasks, 82.6)
    found = StageStatus("x", "dev", "1", "us-east-1", server=server)
    text = "\n".join("".join(str(span.text) for span in line) for line in lines_of(found, NOW))
    for words in (
        "Active  https://x/",
        "2 of 2 tasks running, 1 draining, 2 healthy  IN_PROGRESS",
        "about 12 calls are open  $82.60 per month without calls",
        "old tasks keep their calls",
    ):
        assert words in text, text
    assert "not completed" not in text
    document = document_of(found)["server"]
    assert (document["tasks"]["calls"], document["month"]) == (12, 82.6)

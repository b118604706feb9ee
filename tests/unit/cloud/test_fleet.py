"""The tasks of a server that carries calls: when an update has come far enough, and why not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from voicecore.aws.session import Aws
from voicecore.cloud.deploy import ecs_service
from voicecore.cloud.deploy.ecs_service import Fleet, Watch, fleet_of
from voicecore.console.progress import Progress

NAME = "voicecore-line-dev-server"


def service(task: str, running: int = 1, desired: int = 1, **more: Any) -> dict[str, Any]:
    newest = {
        "status": "PRIMARY",
        "taskDefinition": task,
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": 0,
        "rolloutState": "IN_PROGRESS",
    }
    older = {"status": "ACTIVE", "taskDefinition": "before", "desiredCount": 1, "runningCount": 1}
    return {
        "status": "ACTIVE",
        "deployments": [older, newest | more],
        "loadBalancers": [{"targetGroupArn": "group"}],
    }


@pytest.mark.parametrize(
    ("found", "states", "over"),
    [
        (service("new"), ["healthy", "draining"], True),
        (service("new", 2, 2), ["healthy", "healthy", "draining", "draining"], True),
        # An old one takes calls yet; a new one does not; nothing old is left; none should run.
        (service("new", 2, 2), ["healthy", "healthy", "healthy", "draining"], False),
        (service("new"), ["initial", "draining"], False),
        (service("new"), ["healthy"], False),
        (service("new", 0, 0), ["draining"], False),
        (service("new", pendingCount=1), ["healthy", "draining"], False),
    ],
)
def test_new_tasks_have_taken_over_when_old_calls_are_all_that_is_left(
    found: dict[str, Any], states: list[str], over: bool
) -> None:
    assert fleet_of(found, states).taken_over is over


def test_it_is_told_in_words() -> None:
    assert str(fleet_of(service("new", 1, 2, pendingCount=1, failedTasks=2), ["draining"])) == (
        "1 of 2 tasks running, 1 starting, 2 failed, 1 draining"
    )
    assert str(fleet_of(service("new"), [])) == "1 of 1 task running"


def test_why_a_task_stopped() -> None:
    task = {
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "server", "exitCode": 1, "reason": "OutOfMemoryError"}],
    }
    assert ecs_service.reasons_of(task) == [
        "Essential container in task exited",
        "OutOfMemoryError",
        "server ended with exit code 1",
    ]
    assert ecs_service.reasons_of({"stoppedReason": "x", "containers": [{"exitCode": 0}]}) == ["x"]


class Answers:
    """An AWS that gives these answers, by the names of operations."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def client(self, _: str) -> Answers:
        return self

    def __getattr__(self, operation: str) -> Any:
        answer = self.answers[operation]

        def asked(**_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return asked


def watch(aws: Answers, before: Fleet | None, told: list[str]) -> Watch:
    def advance(step: Progress) -> None:
        told.append(f"{step.note}{' ' + chr(10003) if step.finished else ''}")

    return Watch(cast("Aws", aws), NAME, before, advance)


def health(*states: str) -> dict[str, Any]:
    return {"TargetHealthDescriptions": [{"TargetHealth": {"State": s}} for s in states]}


def test_an_update_is_watched_until_old_calls_are_left() -> None:
    before, told = fleet_of(service("old"), ["healthy"]), list[str]()
    aws = Answers(describe_services={"services": [service("old")]}, describe_target_health=health())
    sees = watch(aws, before, told)
    assert not sees() and told == []
    aws.answers["describe_services"] = {"services": [service("new", 0, pendingCount=1)]}
    aws.answers["describe_target_health"] = health("healthy")
    assert not sees()
    aws.answers["describe_services"] = {"services": [service("new")]}
    aws.answers["describe_target_health"] = health("healthy", "draining")
    assert sees() and sees()
    assert told == [
        "0 of 1 task running, 1 starting, 1 healthy",
        "1 of 1 task running, 1 draining, 1 healthy ✓",
    ]
    # A server that is new has no old calls: its stack is waited for.
    assert not watch(aws, None, [])()


def test_why_tasks_fail_is_noted_while_they_are_there_to_be_asked() -> None:
    stopped = {
        "taskArn": f"arn:aws:ecs:us-east-1:1:task/{NAME}/0123",
        "stoppedReason": "Task failed ELB health checks",
        "stoppedAt": datetime(2026, 1, 1, tzinfo=UTC),
    }
    aws = Answers(
        describe_services={"services": [service("new", failedTasks=1)]},
        describe_target_health=health(),
        list_tasks={"taskArns": [stopped["taskArn"]]},
        describe_tasks={"tasks": [stopped]},
        get_log_events={"events": [{"message": "SystemExit: PUBLIC_URL is an origin\n"}]},
    )
    sees = watch(aws, None, [])
    assert not sees()
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeServices")
    aws.answers["describe_services"] = denied
    assert not sees()
    aws.answers["describe_services"] = {"services": [service("new") | {"status": "INACTIVE"}]}
    assert not sees()
    assert sees.trouble == ["Task failed ELB health checks", "SystemExit: PUBLIC_URL is an origin"]

"""The ECS service of a session server: when a rollout is done, and why its tasks failed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from voicecore.aws.session import Aws
from voicecore.cloud.resources import ecs_service
from voicecore.cloud.resources.ecs_service import EcsService, RolloutWatch, service_from
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
    ("described", "states", "done"),
    [
        (service("new"), ["healthy", "draining"], True),
        (service("new", 2, 2), ["healthy", "healthy", "draining", "draining"], True),
        # An old task still takes calls; a new one takes none; no old one is left; none should run.
        (service("new", 2, 2), ["healthy", "healthy", "healthy", "draining"], False),
        (service("new"), ["initial", "draining"], False),
        (service("new"), ["healthy"], False),
        (service("new", 0, 0), ["draining"], False),
        (service("new", pendingCount=1), ["healthy", "draining"], False),
    ],
)
def test_rollout_is_done_when_only_old_tasks_drain(
    described: dict[str, Any], states: list[str], done: bool
) -> None:
    assert service_from(described, states).only_draining is done


def test_service_is_described_in_words() -> None:
    assert str(service_from(service("new", 1, 2, pendingCount=1, failedTasks=2), ["draining"])) == (
        "1 of 2 tasks running, 1 starting, 2 failed, 1 draining"
    )
    assert str(service_from(service("new"), [])) == "1 of 1 task running"


def test_reasons_of_a_stopped_task() -> None:
    task = {
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "server", "exitCode": 1, "reason": "OutOfMemoryError"}],
    }
    assert ecs_service.stop_reasons(task) == [
        "Essential container in task exited",
        "OutOfMemoryError",
        "server exited with code 1",
    ]
    assert ecs_service.stop_reasons({"stoppedReason": "x", "containers": [{"exitCode": 0}]}) == [
        "x"
    ]


class AwsDouble:
    """Answers operations by name; raises answers that are exceptions."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def client(self, _: str) -> AwsDouble:
        return self

    def __getattr__(self, operation: str) -> Any:
        answer = self.answers[operation]

        def call(**_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def watch(aws: AwsDouble, before: EcsService | None, notes: list[str]) -> RolloutWatch:
    def on_progress(step: Progress) -> None:
        notes.append(f"{step.note} ✓" if step.finished else step.note)

    return RolloutWatch(cast("Aws", aws), NAME, before, on_progress)


def health(*states: str) -> dict[str, Any]:
    return {"TargetHealthDescriptions": [{"TargetHealth": {"State": s}} for s in states]}


def test_update_is_watched_until_only_old_tasks_drain() -> None:
    before, notes = service_from(service("old"), ["healthy"]), list[str]()
    aws = AwsDouble(
        describe_services={"services": [service("old")]}, describe_target_health=health()
    )
    is_done = watch(aws, before, notes)
    assert not is_done() and notes == []
    aws.answers["describe_services"] = {"services": [service("new", 0, pendingCount=1)]}
    aws.answers["describe_target_health"] = health("healthy")
    assert not is_done()
    aws.answers["describe_services"] = {"services": [service("new")]}
    aws.answers["describe_target_health"] = health("healthy", "draining")
    assert is_done() and is_done()
    assert notes == [
        "0 of 1 task running, 1 starting, 1 healthy",
        "1 of 1 task running, 1 draining, 1 healthy ✓",
    ]
    # A new server has no old tasks: the deploy waits for its stack.
    assert not watch(aws, None, [])()


def test_failure_of_tasks_is_read_before_a_rollback_deletes_them() -> None:
    stopped = {
        "taskArn": f"arn:aws:ecs:us-east-1:1:task/{NAME}/0123",
        "stoppedReason": "Task failed ELB health checks",
        "stoppedAt": datetime(2026, 1, 1, tzinfo=UTC),
    }
    aws = AwsDouble(
        describe_services={"services": [service("new", failedTasks=1)]},
        describe_target_health=health(),
        list_tasks={"taskArns": [stopped["taskArn"]]},
        describe_tasks={"tasks": [stopped]},
        get_log_events={"events": [{"message": "SystemExit: PUBLIC_URL is an origin\n"}]},
    )
    is_done = watch(aws, None, [])
    assert not is_done()
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeServices")
    aws.answers["describe_services"] = denied
    assert not is_done()
    aws.answers["describe_services"] = {"services": [service("new") | {"status": "INACTIVE"}]}
    assert not is_done()
    assert is_done.failure == [
        "Task failed ELB health checks",
        "SystemExit: PUBLIC_URL is an origin",
    ]

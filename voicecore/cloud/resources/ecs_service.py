"""Owns the ECS service of a session server that carries calls: its tasks, targets and open calls.

The cluster and the service have the name of the server's stack.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.cloud.stacks.ecs_tasks import CONTAINER
from voicecore.console.progress import OnProgress, Progress
from voicecore.project import aws_names

_LOG_LINES = 5  # shown of a failed task
_METRIC_DELAY = timedelta(minutes=4)  # until a load balancer's metrics reach CloudWatch
_ABSENT = ("ClusterNotFoundException", "ServiceNotFoundException", "ServiceNotActiveException")


@dataclass(frozen=True)
class EcsService:
    """The newest deployment of an ECS service, and its targets behind the load balancer."""

    task: str
    """Task definition; another image or environment is another task definition."""
    rollout: str
    """COMPLETED, IN_PROGRESS or FAILED."""
    reason: str
    desired: int
    running: int
    pending: int
    failed: int
    """Tasks of this deployment that failed to start."""
    targets: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of targets in each state: healthy, draining, …"""
    calls: int | None = None
    """Approximate number of open calls, from the load balancer; None if it was not asked."""

    @property
    def healthy(self) -> int:
        """Tasks that take new calls."""
        return self.targets.get("healthy", 0)

    @property
    def draining(self) -> int:
        """Tasks that take no new calls and keep their open ones."""
        return self.targets.get("draining", 0)

    @property
    def only_draining(self) -> bool:
        """True when the new tasks take all calls and ECS waits only for old tasks to drain."""
        ready = self.running >= self.desired > 0 and not self.pending
        return ready and self.draining > 0 and self.healthy == self.desired

    @property
    def open_calls(self) -> str:
        """The number of open calls as a sentence."""
        return "1 call is open" if self.calls == 1 else f"{self.calls or 0} calls are open"

    def __str__(self) -> str:
        more = [f"{self.pending} starting"] if self.pending else []
        more += [f"{self.failed} failed"] if self.failed else []
        more += [f"{n} {state}" for state, n in sorted(self.targets.items())]
        noun = "task" if self.desired == 1 else "tasks"
        return ", ".join([f"{self.running} of {self.desired} {noun} running", *more])


def find(aws: Aws, name: str, count_calls: bool = False) -> EcsService | None:
    """Return the ECS service of the server with this name, or None."""
    service = _service(aws, name)
    if service is None:
        return None
    groups = [each["targetGroupArn"] for each in service.get("loadBalancers", ())]
    states = [state for group in groups for state in _target_states(aws, group)]
    calls = sum(_open_calls(aws, group) for group in groups) if count_calls else None
    return service_from(service, states, calls)


def service_from(
    described: Mapping[str, Any], target_states: Iterable[str], calls: int | None = None
) -> EcsService:
    """Return a service from one entry of DescribeServices and the states of its targets."""
    deployments: list[Mapping[str, Any]] = described.get("deployments", [])
    primary = [each for each in deployments if each["status"] == "PRIMARY"]
    newest: Mapping[str, Any] = primary[0] if primary else {}
    return EcsService(
        task=newest.get("taskDefinition", ""),
        rollout=newest.get("rolloutState", ""),
        reason=newest.get("rolloutStateReason", ""),
        desired=newest.get("desiredCount", 0),
        running=newest.get("runningCount", 0),
        pending=newest.get("pendingCount", 0),
        failed=newest.get("failedTasks", 0),
        targets=dict(Counter(target_states)),
        calls=calls,
    )


def image_of(aws: Aws, service: EcsService) -> str:
    """Return the image that new tasks run, with its digest; empty if there is none."""
    found = aws.client("ecs").describe_task_definition(taskDefinition=service.task)
    containers = found["taskDefinition"]["containerDefinitions"]
    return next((each["image"] for each in containers if each["name"] == CONTAINER), "")


class RolloutWatch:
    """Watches a rollout: reports how far it is and remembers why its last task failed.

    Each call looks once, and returns True when ECS waits only for old tasks to drain. AWS keeps
    those for as long as the target group's deregistration delay; a deploy need not wait for them.
    `before` is the service before the update; None if there was none.
    """

    def __init__(
        self, aws: Aws, name: str, before: EcsService | None, on_progress: OnProgress
    ) -> None:
        self._aws, self._name, self._before = aws, name, before
        self._on_progress = on_progress
        self._failed = 0
        self._done = False
        self.failure: list[str] = []
        """Reasons why the last failed task stopped, and its last log lines."""

    def __call__(self) -> bool:
        """Look once."""
        try:
            return self._look()
        except (ClientError, BotoCoreError):
            # Without permission or answer, the deploy waits for the stack alone.
            return False

    def _look(self) -> bool:
        service = find(self._aws, self._name)
        if service is None or (self._before and service.task == self._before.task):
            return False  # not started, or rolled back
        if service.failed > self._failed:
            # Read it now: a rollback deletes tasks and log group.
            self._failed = service.failed
            self.failure = last_failure(self._aws, self._name) or self.failure
        done = service.rollout == "COMPLETED" or service.only_draining
        if not self._done:
            self._done = done
            self._on_progress(Progress("server: tasks", finished=done, note=str(service)))
        return self._before is not None and service.only_draining


def last_failure(aws: Aws, name: str) -> list[str]:
    """Return why the server's last stopped task stopped, and its last log lines."""
    ecs = aws.client("ecs")
    arns = ecs.list_tasks(cluster=name, serviceName=name, desiredStatus="STOPPED")["taskArns"]
    if not arns:
        return []
    tasks = ecs.describe_tasks(cluster=name, tasks=arns[:100])["tasks"]
    newest = max(tasks, key=_stopped_at, default=None)
    if newest is None:
        return []
    return [*stop_reasons(newest), *_last_lines(aws, name, newest["taskArn"])]


def stop_reasons(task: Mapping[str, Any]) -> list[str]:
    """Return the distinct reasons why a task stopped, from one entry of DescribeTasks."""
    reasons = [task.get("stoppedReason", "")]
    for container in task.get("containers", ()):
        reasons.append(container.get("reason", ""))
        if container.get("exitCode"):
            reasons.append(f"{container['name']} exited with code {container['exitCode']}")
    return list(dict.fromkeys(filter(None, reasons)))


def _service(aws: Aws, name: str) -> Mapping[str, Any] | None:
    with ignoring(*_ABSENT):
        found = aws.client("ecs").describe_services(cluster=name, services=[name])["services"]
        # A deleted service is listed as INACTIVE for a while.
        return next((each for each in found if each["status"] != "INACTIVE"), None)
    return None


def _target_states(aws: Aws, group: str) -> list[str]:
    with ignoring("TargetGroupNotFound"):
        found = aws.client("elbv2").describe_target_health(TargetGroupArn=group)
        return [each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]]
    return []


def _open_calls(aws: Aws, group: str) -> int:
    """Return the number of calls through a load balancer; each call has two connections there."""
    (found,) = aws.client("elbv2").describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    now = datetime.now(UTC)
    counts = [
        point
        for balancer in found["LoadBalancerArns"]
        for point in aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName="ActiveConnectionCount",
            Dimensions=[{"Name": "LoadBalancer", "Value": balancer.partition(":loadbalancer/")[2]}],
            StartTime=now - _METRIC_DELAY,
            EndTime=now,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
    ]
    # Without connections there are no data points.
    last = max(counts, key=lambda point: point["Timestamp"], default={"Sum": 0})
    return round(last["Sum"] / 2)


def _stopped_at(task: Mapping[str, Any]) -> datetime:
    return task.get("stoppedAt") or datetime.min.replace(tzinfo=UTC)


def _last_lines(aws: Aws, name: str, task: str) -> list[str]:
    stream = f"{CONTAINER}/{CONTAINER}/{task.rpartition('/')[2]}"
    with ignoring("ResourceNotFoundException"):
        events = aws.client("logs").get_log_events(
            logGroupName=aws_names.ecs_log_group_for(name),
            logStreamName=stream,
            limit=_LOG_LINES,
            startFromHead=False,
        )["events"]
        return [event["message"].rstrip() for event in events]
    return []

"""The tasks of a server that carries calls, as ECS and its load balancer tell of them.

A server's cluster and service both have the name of its stack.
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

from voicecore.aws.errors import allowing
from voicecore.aws.session import Aws
from voicecore.cloud.stacks.ecs_server import CONTAINER
from voicecore.console.progress import OnProgress, Progress
from voicecore.project import aws_names

_LINES = 5  # of a task that failed
_CALLS_WITHIN = timedelta(minutes=4)  # a load balancer's minutes reach CloudWatch that late
_ABSENT = ("ClusterNotFoundException", "ServiceNotFoundException", "ServiceNotActiveException")


@dataclass(frozen=True)
class Fleet:
    """How the tasks of a server are."""

    task: str
    """The task definition of the newest deployment: of another image or environment, another."""
    rollout: str
    """How far that has come: COMPLETED, IN_PROGRESS or FAILED."""
    reason: str
    desired: int
    running: int
    pending: int
    failed: int
    """Tasks of that deployment which did not come up."""
    targets: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many tasks the load balancer has in each state: healthy, draining, …"""
    calls: int | None = None
    """About how many calls are open, by the load balancer's last minute; None: not asked."""

    @property
    def healthy(self) -> int:
        """Tasks that take calls."""
        return self.targets.get("healthy", 0)

    @property
    def draining(self) -> int:
        """Tasks that take none any more, and keep those that they have."""
        return self.targets.get("draining", 0)

    @property
    def taken_over(self) -> bool:
        """Whether old tasks, and they alone, keep ECS from being done."""
        ready = self.running >= self.desired > 0 and not self.pending
        return ready and self.draining > 0 and self.healthy == self.desired

    @property
    def open_calls(self) -> str:
        """How many calls are open, in words."""
        return "1 call is open" if self.calls == 1 else f"{self.calls or 0} calls are open"

    def __str__(self) -> str:
        """The same in words."""
        more = [f"{self.pending} starting"] if self.pending else []
        more += [f"{self.failed} failed"] if self.failed else []
        more += [f"{n} {state}" for state, n in sorted(self.targets.items())]
        of = "task" if self.desired == 1 else "tasks"
        return ", ".join([f"{self.running} of {self.desired} {of} running", *more])


def find(aws: Aws, name: str, calls: bool = False) -> Fleet | None:
    """The tasks of the server of this name; None where there is no such. `calls`: count them."""
    service = _service(aws, name)
    if service is None:
        return None
    groups = [each["targetGroupArn"] for each in service.get("loadBalancers", ())]
    states = [state for group in groups for state in _states(aws, group)]
    counted = sum(_calls(aws, group) for group in groups) if calls else None
    return fleet_of(service, states, counted)


def fleet_of(service: Mapping[str, Any], states: Iterable[str], calls: int | None = None) -> Fleet:
    """The tasks of a service as DescribeServices has it, whose targets are in these states."""
    deployments: list[Mapping[str, Any]] = service.get("deployments", [])
    primary = [each for each in deployments if each["status"] == "PRIMARY"]
    newest: Mapping[str, Any] = primary[0] if primary else {}
    return Fleet(
        task=newest.get("taskDefinition", ""),
        rollout=newest.get("rolloutState", ""),
        reason=newest.get("rolloutStateReason", ""),
        desired=newest.get("desiredCount", 0),
        running=newest.get("runningCount", 0),
        pending=newest.get("pendingCount", 0),
        failed=newest.get("failedTasks", 0),
        targets=dict(Counter(states)),
        calls=calls,
    )


def image_of(aws: Aws, fleet: Fleet) -> str:
    """The image that new tasks run, by its digest."""
    found = aws.client("ecs").describe_task_definition(taskDefinition=fleet.task)
    containers = found["taskDefinition"]["containerDefinitions"]
    return next((each["image"] for each in containers if each["name"] == CONTAINER), "")


class Watch:
    """Sees a server being made or changed: how far it has come, and what went wrong.

    Asked again and again, it says whether only the calls of old tasks are still waited for: AWS
    keeps those for as long as a target group may wait, and nobody else need.
    """

    def __init__(self, aws: Aws, name: str, before: Fleet | None, advance: OnProgress) -> None:
        self._aws, self._name, self._before, self._advance = aws, name, before, advance
        self._failed = 0
        self._done = False
        self.trouble: list[str] = []
        """Why the last task that failed did, and what it last wrote."""

    def __call__(self) -> bool:
        """Look once more."""
        try:
            return self._look()
        except (ClientError, BotoCoreError):
            # Who may not look, or is not answered just now, waits for the stack as it says itself.
            return False

    def _look(self) -> bool:
        fleet = find(self._aws, self._name)
        if fleet is None or (self._before and fleet.task == self._before.task):
            return False  # not begun, or taken back
        if fleet.failed > self._failed:
            # At once: a stack that is taken back takes tasks and log with it.
            self._failed = fleet.failed
            self.trouble = last_failure(self._aws, self._name) or self.trouble
        done = fleet.rollout == "COMPLETED" or fleet.taken_over
        if not self._done:
            self._done = done
            self._advance(Progress("server: tasks", finished=done, note=str(fleet)))
        return self._before is not None and fleet.taken_over


def last_failure(aws: Aws, name: str) -> list[str]:
    """Why the last task of this server that stopped did, and its last lines; empty for none."""
    ecs = aws.client("ecs")
    arns = ecs.list_tasks(cluster=name, serviceName=name, desiredStatus="STOPPED")["taskArns"]
    if not arns:
        return []
    tasks = ecs.describe_tasks(cluster=name, tasks=arns[:100])["tasks"]
    newest = max(tasks, key=_stopped_at, default=None)
    if newest is None:
        return []
    return [*reasons_of(newest), *_last_lines(aws, name, newest["taskArn"])]


def reasons_of(task: Mapping[str, Any]) -> list[str]:
    """Why a task stopped, by DescribeTasks."""
    said = [task.get("stoppedReason", "")]
    for container in task.get("containers", ()):
        said.append(container.get("reason", ""))
        if container.get("exitCode"):
            said.append(f"{container['name']} ended with exit code {container['exitCode']}")
    return list(dict.fromkeys(filter(None, said)))


def _service(aws: Aws, name: str) -> Mapping[str, Any] | None:
    with allowing(*_ABSENT):
        found = aws.client("ecs").describe_services(cluster=name, services=[name])["services"]
        # One that was deleted is INACTIVE for a while.
        return next((each for each in found if each["status"] != "INACTIVE"), None)
    return None


def _states(aws: Aws, group: str) -> list[str]:
    with allowing("TargetGroupNotFound"):
        found = aws.client("elbv2").describe_target_health(TargetGroupArn=group)
        return [each["TargetHealth"]["State"] for each in found["TargetHealthDescriptions"]]
    return []


def _calls(aws: Aws, group: str) -> int:
    """Calls that go through a load balancer, each of which has two connections there."""
    (found,) = aws.client("elbv2").describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    now = datetime.now(UTC)
    counts = [
        point
        for balancer in found["LoadBalancerArns"]
        for point in aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName="ActiveConnectionCount",
            Dimensions=[{"Name": "LoadBalancer", "Value": balancer.partition(":loadbalancer/")[2]}],
            StartTime=now - _CALLS_WITHIN,
            EndTime=now,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
    ]
    # Where there is no connection, nothing is counted.
    last = max(counts, key=lambda point: point["Timestamp"], default={"Sum": 0})
    return round(last["Sum"] / 2)


def _stopped_at(task: Mapping[str, Any]) -> datetime:
    return task.get("stoppedAt") or datetime.min.replace(tzinfo=UTC)


def _last_lines(aws: Aws, name: str, task: str) -> list[str]:
    stream = f"{CONTAINER}/{CONTAINER}/{task.rpartition('/')[2]}"
    with allowing("ResourceNotFoundException"):
        events = aws.client("logs").get_log_events(
            logGroupName=aws_names.ecs_log_group_for(name),
            logStreamName=stream,
            limit=_LINES,
            startFromHead=False,
        )["events"]
        return [event["message"].rstrip() for event in events]
    return []

"""Owns the status of a stage: what is deployed, its health, its cost and its drift.

What may not be asked, or AWS does not answer, is reported as unknown; the rest is shown.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from voicecore.aws.errors import translate_error
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.parts.agent_state import CurrentAgent, manual_changes, read_agent
from voicecore.cloud.deploy.parts.server_state import find_server, on_ecs
from voicecore.cloud.deploy.parts.shared_stacks import CurrentShared, read_images, read_network
from voicecore.cloud.deploy.parts.state_reader import SecretValue
from voicecore.cloud.observe.cost import BilledStacks, StageCost, cost_since_month_began
from voicecore.cloud.observe.drift import deleted_resources, drift_of
from voicecore.cloud.resources import agentcore, ecs_service, inventory
from voicecore.cloud.resources.agentcore import Runtime, RuntimeEndpoint
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.ecr_images import find_image
from voicecore.cloud.resources.ecs_service import EcsService
from voicecore.cloud.resources.inventory import LogGroup
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS
from voicecore.cloud.stacks.server_stack import IMAGE_URI, URL
from voicecore.cloud.stacks.versions import Version
from voicecore.contract.agent_log import LogEntry, is_output_stream
from voicecore.project import aws_names
from voicecore.project.identity import Owner

SESSIONS_SHOWN = 5

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ImageStatus:
    """The image that the runtime runs."""

    uri: str
    bytes: int | None
    """Compressed size in the repository; None if the image was deleted there."""
    pushed: datetime | None


@dataclass(frozen=True)
class SessionTimes:
    """A session, from its log stream."""

    session: str
    first: datetime | None
    last: datetime | None
    """Time of the last line; CloudWatch may show it up to an hour late."""


@dataclass(frozen=True)
class NetworkStatus:
    """The network of the runtime."""

    mode: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    stack: str = ""
    """Status of the stack of voicecore's own network; empty for another network."""


@dataclass(frozen=True)
class ServerStatus:
    """The stage's session server."""

    stack: DeployedStack
    url: str
    """URL at which clients request sessions; empty if the stack was not completed."""
    image: str
    state: str
    """Lambda: Active, Pending or Failed, and any change in progress. ECS: Active when as many
    tasks take calls as should."""
    reason: str = ""
    tasks: EcsService | None = None
    """None on Lambda."""
    month: float = 0.0
    """Dollars per month without calls, with its current number of tasks."""

    @property
    def healthy(self) -> bool:
        """True when the server is active and its stack complete or draining."""
        return self.state == "Active" and (self.stack.updatable or self.tasks is not None)


@dataclass(frozen=True)
class StageStatus:
    """Everything known about a stage."""

    project: str
    stage: str
    account: str
    region: str
    stack: DeployedStack | None = None
    """None if the stage is not deployed."""
    runtime: Runtime | None = None
    versions: tuple[Version, ...] = ()
    """Oldest first."""
    endpoints: tuple[RuntimeEndpoint, ...] = ()
    image: ImageStatus | None = None
    network: NetworkStatus | None = None
    channels: tuple[str, ...] = ()
    """Names of the KVS signaling channels."""
    server: ServerStatus | None = None
    """None if no session server is deployed."""
    log_groups: tuple[LogGroup, ...] = ()
    sessions: tuple[SessionTimes, ...] = ()
    """The last sessions, newest first."""
    cost: StageCost = field(default_factory=lambda: StageCost(()))
    deleted: tuple[str, ...] = ()
    """What was deployed and does not exist any more, or not for long."""
    drift: tuple[str, ...] = ()
    """Other differences between the stage and what was deployed."""
    unknown: tuple[str, ...] = field(default=())
    """Questions that AWS did not answer, and why."""


class StatusProbe:
    """Reads the current state for status: never waits, and notes what AWS does not answer."""

    def __init__(self, aws: Aws, cloud: CloudFormation) -> None:
        self.aws = aws
        self.cloud = cloud
        self.unknown: list[str] = []

    def settled(self, stack: DeployedStack | None) -> DeployedStack | None:
        """Return the stack, even while an operation is in progress."""
        return stack

    def ask(self, what: str, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        """Return the answer; note why there is none, and return `otherwise`."""
        try:
            return question()
        except (ClientError, BotoCoreError) as error:
            self.unknown.append(f"{what}: {translate_error(error, 'voicecore status').message}")
            return otherwise

    def secret(self, stack: DeployedStack) -> SecretValue:
        """Return nothing: status does not read secrets."""
        return SecretValue()


def stage_status(
    aws: Aws, tasks: TaskGroup, owner: Owner, stage: str, now: datetime, drift: bool = False
) -> StageStatus:
    """Return the status of a stage.

    With `drift`, CloudFormation compares all stacks with their resources, which takes a while.
    Raises botocore's errors if not even the agent's stack can be read, and ForeignResource.
    """
    client, project = aws.client("cloudformation"), owner.project
    cloud = CloudFormation(client, owner, "voicecore status", tasks.sleep)
    probe = StatusProbe(aws, cloud)
    agent = read_agent(probe, project, stage)
    shared = _read_shared(probe, agent, project)
    found = StageStatus(
        project,
        stage,
        aws.account,
        aws.region,
        agent.stack,
        agent.runtime,
        versions=agent.history,
        network=_network(agent, shared.network),
    )
    answers = _start_questions(probe, tasks, found, shared, now, drift)
    given = {name: tasks.result(answer) for name, answer in answers.items()}
    given["deleted"] += _lost_log_group(found, given["log_groups"])
    given["log_groups"] = given["log_groups"] or ()
    changes = (*(manual_changes(agent) if agent.runtime else ()), *given["drift"])
    given["drift"] = tuple(change for change in changes if change not in given["deleted"])
    return replace(found, **given, unknown=tuple(probe.unknown))


def _start_questions(
    probe: StatusProbe,
    tasks: TaskGroup,
    found: StageStatus,
    shared: CurrentShared,
    now: datetime,
    drift: bool,
) -> dict[str, Future[Any]]:
    """Start all questions in parallel, and return their answers by field of StageStatus."""
    aws, project, stage, runtime = probe.aws, found.project, found.stage, found.runtime

    def ask(what: str, question: Callable[[], Answer], otherwise: Answer) -> Future[Answer]:
        return tasks.start(lambda: probe.ask(what, question, otherwise))

    groups = ask("log groups", lambda: tuple(inventory.log_groups(aws, project, stage)), None)
    server = ask("session server", lambda: _server(probe, project, stage), None)

    def billed() -> BilledStacks:
        status = tasks.result(server)
        return BilledStacks(found.stack, status.stack if status else None, shared.network)

    def deleted() -> tuple[str, ...]:
        stacks = _stacks_of(billed(), shared)
        return tuple(text for s in stacks for text in deleted_resources(aws, probe.cloud, s))

    def cost() -> StageCost:
        return cost_since_month_began(aws, probe.cloud, billed(), runtime, stage, now)

    return {
        "log_groups": groups,
        "sessions": ask("sessions", lambda: _sessions(aws, tasks.result(groups) or ()), ()),
        "channels": ask("TURN pool", lambda: _channels(aws, project, stage), ()),
        "endpoints": ask("endpoints", lambda: _endpoints(aws, runtime), ()),
        "server": server,
        "image": ask("image", lambda: _image(aws, runtime), None),
        "cost": ask("cost", cost, StageCost(())),
        "deleted": ask("deleted resources", deleted, ()),
        "drift": ask("drift", lambda: _drift(aws, billed(), shared, tasks) if drift else (), ()),
    }


def last_sessions(streams: Iterable[Mapping[str, Any]]) -> tuple[SessionTimes, ...]:
    """Return the last sessions from DescribeLogStreams, newest first; old streams name none."""
    sessions = (
        SessionTimes(
            LogEntry(datetime.min, stream["logStreamName"], "").session,
            _time(stream.get("firstEventTimestamp")),
            _time(stream.get("lastEventTimestamp")),
        )
        for stream in streams
        if is_output_stream(stream["logStreamName"])
    )
    named = [each for each in sessions if each.session and each.last]
    newest = sorted(named, key=lambda each: each.last or datetime.min, reverse=True)
    return tuple(newest[:SESSIONS_SHOWN])


def _read_shared(probe: StatusProbe, agent: CurrentAgent, project: str) -> CurrentShared:
    if agent.stack is None:
        return CurrentShared()
    return CurrentShared(read_images(probe, project), read_network(probe, project))


def _network(agent: CurrentAgent, network: DeployedStack | None) -> NetworkStatus | None:
    if agent.runtime is None or agent.stack is None:
        return None
    subnets = _list_in(agent.stack, SUBNETS)
    ours = network and set(subnets) <= set(network.outputs.get(SUBNETS, "").split(","))
    return NetworkStatus(
        agent.runtime.network,
        subnets,
        _list_in(agent.stack, SECURITY_GROUPS),
        network.status if network and subnets and ours else "",
    )


def _list_in(stack: DeployedStack, parameter: str) -> tuple[str, ...]:
    return tuple(filter(None, stack.parameters.get(parameter, "").split(",")))


def _endpoints(aws: Aws, runtime: Runtime | None) -> tuple[RuntimeEndpoint, ...]:
    control = aws.client("bedrock-agentcore-control")
    return tuple(agentcore.endpoints(control, runtime.id)) if runtime else ()


def _image(aws: Aws, runtime: Runtime | None) -> ImageStatus | None:
    if runtime is None:
        return None
    found = find_image(aws, runtime.image) or {}
    return ImageStatus(runtime.image, found.get("imageSizeInBytes"), found.get("imagePushedAt"))


def _server(probe: StatusProbe, project: str, stage: str) -> ServerStatus | None:
    current = find_server(probe, project, stage)
    stack = current.stack
    if stack is None:
        return None
    if URL not in stack.outputs:
        return ServerStatus(stack, "", "", "")
    if on_ecs(stack):
        found = current.draining or ecs_service.find(
            probe.aws, stack.outputs["Cluster"], count_calls=True
        )
        return _ecs_status(probe.cloud, stack, found)
    found = probe.aws.client("lambda").get_function(FunctionName=stack.outputs["FunctionName"])
    function = found["Configuration"]
    update = function["LastUpdateStatus"]
    changing = "" if update == "Successful" else f", last change {update}"
    return ServerStatus(
        stack,
        stack.outputs[URL],
        found["Code"]["ImageUri"],
        function["State"] + changing,
        function.get("StateReason") or function.get("LastUpdateStatusReason") or "",
    )


def _ecs_status(
    cloud: CloudFormation, stack: DeployedStack, tasks: EcsService | None
) -> ServerStatus:
    image, url = stack.parameters.get(IMAGE_URI, ""), stack.outputs[URL]
    if tasks is None:
        return ServerStatus(stack, url, image, "Failed", "its ECS service was deleted")
    state = "Active" if tasks.healthy >= tasks.desired > 0 else "Pending"
    month = sum(prices.dollars_per_month(e["ResourceType"]) for e in cloud.resources(stack.id))
    more = max(tasks.running - 1, 0) * prices.dollars_per_month("AWS::ECS::Service")
    reason = tasks.reason if tasks.rollout == "FAILED" else ""
    return ServerStatus(stack, url, image, state, reason, tasks, month + more)


def _channels(aws: Aws, project: str, stage: str) -> tuple[str, ...]:
    return tuple(channel.name for channel in inventory.channels(aws, project, stage))


def _sessions(aws: Aws, groups: Iterable[LogGroup]) -> tuple[SessionTimes, ...]:
    streams = [
        stream
        for group in groups
        for stream in aws.client("logs").describe_log_streams(
            logGroupName=group.name, orderBy="LastEventTime", descending=True
        )["logStreams"]
    ]
    return last_sessions(streams)


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _drift(
    aws: Aws, billed: BilledStacks, shared: CurrentShared, tasks: TaskGroup
) -> tuple[str, ...]:
    return drift_of(aws, _stacks_of(billed, shared), tasks.sleep)


def _stacks_of(billed: BilledStacks, shared: CurrentShared) -> list[DeployedStack]:
    stacks = (billed.agent, billed.server, shared.network, shared.images)
    return [stack for stack in stacks if stack]


def _lost_log_group(found: StageStatus, groups: tuple[LogGroup, ...] | None) -> tuple[str, ...]:
    """Return that the log group of a complete stage is gone; None for groups: it is not known.

    A stack that only others deployed, which has no version, gets one at its first call.
    """
    whole = found.stack and found.stack.updatable and found.runtime and found.runtime.settled
    if groups is None or not whole or not found.runtime or not found.versions:
        return ()
    name = aws_names.log_group_for(found.runtime.id, aws_names.endpoint_name_for(found.stage))
    return () if name in {group.name for group in groups} else (f"log group {name} was deleted",)

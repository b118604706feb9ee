"""What there is of a stage in AWS, and how it is; and of every project, wherever it is.

Whatever one may not look at, or AWS does not tell, is said to be unknown; the rest is shown.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from voicecore.aws.errors import CredentialsRefused, code_of, translate_error
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy import (
    agent_part,
    agentcore,
    ecs_service,
    inventory,
    prices,
    server_part,
)
from voicecore.cloud.deploy.agent_part import Standing
from voicecore.cloud.deploy.agentcore import DEFAULT_ENDPOINT, Endpoint, Runtime
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live
from voicecore.cloud.deploy.ecs_service import Fleet
from voicecore.cloud.deploy.inventory import LogGroup
from voicecore.cloud.deploy.prices import PRICES, Item
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS
from voicecore.cloud.stacks.server_stack import IMAGE_URI, URL
from voicecore.cloud.stacks.versions import Version
from voicecore.contract.agent_log import LogEntry, is_output_stream
from voicecore.project import aws_names

DRIFT_PATIENCE = 120.0
"""Seconds that CloudFormation is given to compare a stack with what it made."""

SESSIONS_SHOWN = 5

_NAMESPACE = "AWS/Bedrock-AgentCore"  # observability-runtime-metrics
_CPU, _MEMORY = "CPUUsed-vCPUHours", "MemoryUsed-GBHours"
_DAY = 86_400  # seconds

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Image:
    """What the runtime runs."""

    uri: str
    bytes: int | None
    """As the registry holds it, compressed; None where the image is gone from it."""
    pushed: datetime | None


@dataclass(frozen=True)
class Call:
    """A session as its log stream shows it."""

    session: str
    first: datetime | None
    last: datetime | None
    """When it wrote last; CloudWatch may learn it up to an hour later."""


@dataclass(frozen=True)
class Network:
    """Where the runtime stands."""

    mode: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    stack: str = ""
    """The status of the stack of voicecore's own network; empty if it is not voicecore's."""


@dataclass(frozen=True)
class Server:
    """The stage's session server."""

    stack: Live
    url: str
    """Where clients ask for sessions; empty where the stack did not come that far."""
    image: str
    state: str
    """As Lambda has it: Active, or Pending and Failed; and whether a change of it goes on. Of ECS:
    Active where as many tasks take calls as should."""
    reason: str = ""
    tasks: Fleet | None = None
    """On ECS; None on Lambda."""
    month: float = 0.0
    """Dollars a month that it costs while nobody calls, with as many tasks as it has."""

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        return self.state == "Active" and (self.stack.stands or self.tasks is not None)


@dataclass(frozen=True)
class Cost:
    """What a stage has cost since the month began (UTC), by list prices of US East."""

    items: tuple[Item, ...]
    """Dollars of None are not known here."""

    @property
    def dollars(self) -> float:
        """What is known of it."""
        return sum(item.dollars or 0 for item in self.items)


@dataclass(frozen=True)
class StageStatus:
    """All that is known of a stage."""

    project: str
    stage: str
    account: str
    region: str
    stack: Live | None = None
    """None: it is not deployed."""
    runtime: Runtime | None = None
    versions: tuple[Version, ...] = ()
    """Its deployments, oldest first."""
    endpoints: tuple[Endpoint, ...] = ()
    image: Image | None = None
    network: Network | None = None
    channels: tuple[str, ...] = ()
    """Of the TURN pool."""
    server: Server | None = None
    """None: none stands."""
    log_groups: tuple[LogGroup, ...] = ()
    sessions: tuple[Call, ...] = ()
    """The last ones, newest first."""
    cost: Cost = Cost(())
    drift: tuple[str, ...] = ()
    """In what it is not what was deployed."""
    unknown: tuple[str, ...] = field(default=())
    """What could not be looked at, and why."""


class Looker:
    """Asks questions beside each other; notes those that AWS does not answer."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def ask(self, what: str, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        """The answer, or else `otherwise`."""
        try:
            return question()
        except (ClientError, BotoCoreError) as error:
            self.unknown.append(f"{what}: {translate_error(error, 'voicecore status').message}")
            return otherwise


def of_stage(
    aws: Aws, together: TaskGroup, project: str, stage: str, now: datetime, drift: bool = False
) -> StageStatus:
    """How a stage is. With `drift` CloudFormation compares all that it made, which takes a while.

    Raises botocore's errors if not even the stack can be looked at.
    """
    cloud = CloudFormation(aws.client("cloudformation"), "voicecore status", together.sleep)
    looker = Looker()
    standing = _standing(aws, cloud, looker, project, stage)

    def look(what: str, question: Callable[[], Answer], otherwise: Answer) -> Future[Answer]:
        return together.start(lambda: looker.ask(what, question, otherwise))

    groups = look("log groups", lambda: tuple(inventory.log_groups(aws, project, stage)), ())
    sessions = look("sessions", lambda: _sessions(aws, together.result(groups)), ())
    channels = look("TURN pool", lambda: _channels(aws, project, stage), ())
    endpoints = look("endpoints", lambda: _endpoints(aws, standing.runtime), ())
    server = look("session server", lambda: _server(aws, cloud, project, stage), None)
    image = look("image", lambda: _image(aws, standing.runtime), None)

    def hosted() -> Live | None:
        found = together.result(server)
        return found.stack if found else None

    cost = look("cost", lambda: _cost(aws, cloud, standing, hosted(), stage, now), Cost(()))
    compared = look(
        "drift", lambda: _drift(aws, standing, hosted(), together.sleep) if drift else (), ()
    )
    found = StageStatus(
        project,
        stage,
        aws.account,
        aws.region,
        standing.agent,
        standing.runtime,
        versions=standing.history,
        endpoints=together.result(endpoints),
        image=together.result(image),
        network=_network(standing),
        channels=together.result(channels),
        server=together.result(server),
        log_groups=together.result(groups),
        sessions=together.result(sessions),
        cost=together.result(cost),
        drift=(*agent_part.changes_by_hand(standing), *together.result(compared)),
    )
    return replace(found, unknown=tuple(looker.unknown))


def _standing(
    aws: Aws, cloud: CloudFormation, looker: Looker, project: str, stage: str
) -> Standing:
    agent = cloud.find(aws_names.stack_name_for(project, stage))
    if agent is None:
        return Standing()
    runtime_id = agent.outputs.get("RuntimeId")
    control = aws.client("bedrock-agentcore-control")
    return Standing(
        images=cloud.find(aws_names.images_stack_name_for(project)),
        network=cloud.find(aws_names.network_stack_name_for(project)),
        agent=agent,
        template=looker.ask("template", lambda: cloud.template_of(agent), {}),
        runtime=looker.ask("runtime", lambda: agentcore.find(control, runtime_id), None)
        if runtime_id
        else None,
    )


def _network(standing: Standing) -> Network | None:
    if standing.runtime is None or standing.agent is None:
        return None
    parameters = standing.agent.parameters
    subnets = tuple(filter(None, parameters.get(SUBNETS, "").split(",")))
    ours = standing.network and set(subnets) <= set(
        standing.network.outputs.get(SUBNETS, "").split(",")
    )
    return Network(
        standing.runtime.network,
        subnets,
        tuple(filter(None, parameters.get(SECURITY_GROUPS, "").split(","))),
        standing.network.status if standing.network and subnets and ours else "",
    )


def _endpoints(aws: Aws, runtime: Runtime | None) -> tuple[Endpoint, ...]:
    control = aws.client("bedrock-agentcore-control")
    return tuple(agentcore.endpoints(control, runtime.id)) if runtime else ()


def _image(aws: Aws, runtime: Runtime | None) -> Image | None:
    if runtime is None:
        return None
    repository, _, digest = runtime.image.partition("@")
    try:
        found = aws.client("ecr").describe_images(
            repositoryName=repository.partition("/")[2], imageIds=[{"imageDigest": digest}]
        )["imageDetails"][0]
    except ClientError as error:
        if code_of(error).endswith("NotFoundException"):
            return Image(runtime.image, None, None)
        raise
    return Image(runtime.image, found.get("imageSizeInBytes"), found.get("imagePushedAt"))


def _server(aws: Aws, cloud: CloudFormation, project: str, stage: str) -> Server | None:
    live = cloud.find(aws_names.server_for(project, stage))
    if live is None or live.empty:
        return None
    if URL not in live.outputs:
        return Server(live, "", "", "")
    if server_part.on_ecs(live):
        return _on_ecs(aws, cloud, live)
    found = aws.client("lambda").get_function(FunctionName=live.outputs["FunctionName"])
    told = found["Configuration"]
    changing = told["LastUpdateStatus"] != "Successful"
    return Server(
        live,
        live.outputs[URL],
        found["Code"]["ImageUri"],
        told["State"] + (f", last change {told['LastUpdateStatus']}" if changing else ""),
        told.get("StateReason") or told.get("LastUpdateStatusReason") or "",
    )


def _on_ecs(aws: Aws, cloud: CloudFormation, live: Live) -> Server:
    tasks = ecs_service.find(aws, live.name, calls=True)
    image, url = live.parameters.get(IMAGE_URI, ""), live.outputs[URL]
    if tasks is None:
        return Server(live, url, image, "Failed", "its tasks are gone: ECS has no such service")
    up = tasks.healthy >= tasks.desired > 0
    month = sum(prices.a_month(entry["ResourceType"]) for entry in cloud.resources(live.id))
    more = max(tasks.running - 1, 0) * prices.a_month("AWS::ECS::Service")
    failed = tasks.reason if tasks.rollout == "FAILED" else ""
    return Server(live, url, image, "Active" if up else "Pending", failed, tasks, month + more)


def _channels(aws: Aws, project: str, stage: str) -> tuple[str, ...]:
    return tuple(thing.name for thing in inventory.channels(aws, project, stage))


def _sessions(aws: Aws, groups: Iterable[LogGroup]) -> tuple[Call, ...]:
    streams = [
        stream
        for group in groups
        for stream in aws.client("logs").describe_log_streams(
            logGroupName=group.name, orderBy="LastEventTime", descending=True
        )["logStreams"]
    ]
    return calls_in(streams)


def calls_in(streams: Iterable[Mapping[str, Any]]) -> tuple[Call, ...]:
    """The last sessions by DescribeLogStreams' answers, newest first; older streams name none."""
    calls = (
        Call(
            LogEntry(datetime.min, stream["logStreamName"], "").session,
            _time(stream.get("firstEventTimestamp")),
            _time(stream.get("lastEventTimestamp")),
        )
        for stream in streams
        if is_output_stream(stream["logStreamName"])
    )
    named = [call for call in calls if call.session and call.last]
    newest = sorted(named, key=lambda call: call.last or datetime.min, reverse=True)
    return tuple(newest[:SESSIONS_SHOWN])


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _cost(
    aws: Aws,
    cloud: CloudFormation,
    standing: Standing,
    server: Live | None,
    stage: str,
    now: datetime,
) -> Cost:
    if standing.agent is None:
        return Cost(())
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    items: list[Item] = []
    stacks = ((standing.agent, "stage"), (server, "server"))
    for live, title in (*stacks, (standing.network, "network, all stages")):
        if live is None:
            continue
        hours = (now - max(begin, live.created or begin)).total_seconds() / 3600
        types = Counter(entry["ResourceType"] for entry in cloud.resources(live.id))
        items += standing_costs(types, hours, title)
    if standing.runtime:
        name = standing.runtime.name
        endpoints = (DEFAULT_ENDPOINT, aws_names.endpoint_name_for(stage))
        for metric, key in ((_CPU, "vcpu"), (_MEMORY, "memory")):
            used = _used(aws.client("cloudwatch"), metric, name, endpoints, begin, now)
            dollars = None if used is None else used * PRICES[key].dollars
            items.append(Item(_USED[metric], dollars))
    of_server = (
        []
        if server is None
        else ["load balancer's use"]
        if server_part.on_ecs(server)
        else ["Lambda"]
    )
    unmetered = (*_UNMETERED, *of_server)
    return Cost((*items, *(Item(what, None) for what in unmetered)))


_USED = {_CPU: "AgentCore vCPU", _MEMORY: "AgentCore memory"}
_UNMETERED = ("models", "traffic")  # only AWS's bill has them


def standing_costs(types: Mapping[str, int], hours: float, title: str) -> list[Item]:
    """What resources of these CloudFormation types cost by standing for so many hours."""
    found = {kind: count for kind, count in types.items() if prices.a_month(kind)}
    return [
        Item(
            f"{kind.rpartition('::')[2]} × {count} ({title})",
            prices.a_month(kind) / prices.HOURS_A_MONTH * hours * count,
        )
        for kind, count in found.items()
    ]


def _used(
    client: Any,
    metric: str,
    runtime: str,
    endpoints: Iterable[str],
    begin: datetime,
    now: datetime,
) -> float | None:
    """How many hours of it the runtime's endpoints used; None where AWS has measured nothing."""
    pages = client.get_paginator("list_metrics").paginate(Namespace=_NAMESPACE, MetricName=metric)
    listed = [found["Dimensions"] for page in pages for found in page["Metrics"]]
    chosen = metrics_of(listed, runtime, endpoints)
    if not chosen:
        return None
    return sum(
        point["Sum"]
        for dimensions in chosen
        for point in client.get_metric_statistics(
            Namespace=_NAMESPACE,
            MetricName=metric,
            Dimensions=list(dimensions),
            StartTime=begin,
            EndTime=now,
            Period=_DAY,
            Statistics=["Sum"],
        )["Datapoints"]
    )


def metrics_of(
    listed: Iterable[Sequence[Mapping[str, str]]], runtime: str, endpoints: Iterable[str]
) -> list[Sequence[Mapping[str, str]]]:
    """Of all sets of dimensions those of the runtime's endpoints, each endpoint's once.

    AgentCore may publish the same hours under fewer dimensions, too: the most detailed counts.
    """
    wanted = {f"{runtime}::{endpoint}" for endpoint in endpoints}
    chosen: dict[tuple[str, str], Sequence[Mapping[str, str]]] = {}
    for dimensions in listed:
        values = {each["Name"]: each["Value"] for each in dimensions}
        key = (values.get("Name", ""), values.get("Resource", ""))
        if key[0] in wanted and len(dimensions) > len(chosen.get(key, ())):
            chosen[key] = dimensions
    detailed = max(map(len, chosen.values()), default=0)
    return [dimensions for dimensions in chosen.values() if len(dimensions) == detailed]


def _drift(aws: Aws, standing: Standing, server: Live | None, pause: Sleep) -> tuple[str, ...]:
    client = aws.client("cloudformation")
    found: list[str] = []
    for live in filter(None, (standing.agent, server, standing.network, standing.images)):
        id = client.detect_stack_drift(StackName=live.name)["StackDriftDetectionId"]
        if not _is_detected(client, id, pause):
            found.append(f"{live.name}: CloudFormation does not come to an end of comparing it")
            continue
        pages = client.describe_stack_resource_drifts(
            StackName=live.name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )
        found += [told_of(drift, live.name) for drift in pages["StackResourceDrifts"]]
    return tuple(found)


def _is_detected(client: Any, id: str, pause: Sleep) -> bool:
    deadline = time.monotonic() + DRIFT_PATIENCE
    waits = poll_intervals()
    while time.monotonic() < deadline:
        status = client.describe_stack_drift_detection_status(StackDriftDetectionId=id)
        if status["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            return True
        pause(next(waits))
    return False


def told_of(drift: Mapping[str, Any], stack: str) -> str:
    """One resource's drift, by DescribeStackResourceDrifts, in words."""
    what = f"{drift['LogicalResourceId']} of {stack}"
    if drift["StackResourceDriftStatus"] == "DELETED":
        return f"{what} was deleted"
    paths = [each["PropertyPath"].strip("/") for each in drift.get("PropertyDifferences", ())]
    return f"{what} was changed: {', '.join(paths) or 'AWS does not say in what'}"


@dataclass(frozen=True)
class Found:
    """What carries voicecore's tags in one region, of one stage."""

    project: str
    stage: str
    """`names.SHARED` for what all stages share."""
    region: str
    kinds: Mapping[str, int]
    """How many of each, as "ec2:natgateway"."""

    @property
    def month(self) -> float:
        """Dollars a month that it costs while nobody calls."""
        return sum(prices.a_month(_PRICED.get(kind, "")) * n for kind, n in self.kinds.items())


_PRICED = {
    "ec2:natgateway": "AWS::EC2::NatGateway",
    "ec2:elastic-ip": "AWS::EC2::EIP",
    "ecs:service": "AWS::ECS::Service",
    "elasticloadbalancing:loadbalancer": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "kinesisvideo:channel": "AWS::KinesisVideo::SignalingChannel",
    "secretsmanager:secret": "AWS::SecretsManager::Secret",
}


def everywhere(aws: Aws, together: TaskGroup, searched: Iterable[str]) -> list[Found]:
    """Every voicecore project of the account in these regions, by tag.

    Regions that the account has not enabled have none. The Tagging API may go on listing for an
    hour what was deleted.
    """
    # botocore makes clients in one thread at a time only.
    clients = {r: aws.in_region(r).client("resourcegroupstaggingapi") for r in searched}
    asked = [together.start(partial(_tagged, clients[region], region)) for region in clients]
    return sorted(
        (each for future in asked for each in together.result(future)),
        key=lambda each: (each.project, each.region, each.stage),
    )


def _tagged(client: Any, region: str) -> list[Found]:
    pages = client.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": aws_names.TAG_PROJECT}]
    )
    try:
        mappings = [each for page in pages for each in page["ResourceTagMappingList"]]
    except ClientError as error:
        # We are known to STS; a region that does not know us is one that is not enabled.
        if isinstance(translate_error(error, ""), CredentialsRefused):
            return []
        raise
    return grouped(mappings, region)


def grouped(mappings: Iterable[Mapping[str, Any]], region: str) -> list[Found]:
    """The resources that GetResources lists, by project and stage."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for mapping in mappings:
        tags = {tag["Key"]: tag["Value"] for tag in mapping["Tags"]}
        whose = (tags[aws_names.TAG_PROJECT], tags.get(aws_names.TAG_STAGE, ""))
        counts.setdefault(whose, Counter())[kind_of(mapping["ResourceARN"])] += 1
    return [Found(*whose, region, dict(kinds)) for whose, kinds in counts.items()]


def kind_of(arn: str) -> str:
    """What an ARN is of, as the Tagging API's filters have it: "ec2:vpc"."""
    _, _, service, _, _, resource = arn.split(":", 5)
    kind = resource.replace("/", ":").partition(":")[0]
    if "/runtime-endpoint/" in resource:
        kind = "runtime-endpoint"
    return f"{service}:{kind}"

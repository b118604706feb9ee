"""Brings a stage up: what stands is read, what should stand is reckoned, the rest is made.

Nothing is remembered between runs: each begins by reading what stands, so that a run that died
anywhere is continued by the next.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of, ignoring, is_denied
from voicecore.aws.polling import Sleep
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy import agentcore
from voicecore.cloud.deploy.agentcore import Runtime
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live, Tell
from voicecore.cloud.deploy.plan import Action, Part, Row, part_of_change, part_of_new
from voicecore.cloud.stacks.agent_stack import (
    ENDPOINT,
    IMAGE_URI,
    RUNTIME,
    SECRET,
    agent_stack,
    foundation_of,
)
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.images_stack import REPOSITORY_URI, images_stack
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS, network_stack
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.cloud.stacks.versions import Version, versions_in, with_next_version
from voicecore.project import aws_names

_UNKNOWN_DIGEST = "sha256:" + "0" * 64
"""Stands in a plan for an image that is not built yet."""


@dataclass(frozen=True)
class Standing:
    """What stands of a stage in AWS."""

    images: Live | None = None
    network: Live | None = None
    agent: Live | None = None
    template: Json = field(default_factory=dict[str, Any])
    """The template of the agent's stack; empty if none stands."""
    runtime: Runtime | None = None
    """None: the stack has none yet, or it was deleted by hand."""
    secret: Mapping[str, str] | None = field(default=None, repr=False)
    """What the agent's secret holds; None: there is none, or it may not be read."""

    @property
    def resources(self) -> Mapping[str, Json]:
        """The resources of the agent's template."""
        return self.template.get("Resources", {})

    @property
    def history(self) -> tuple[Version, ...]:
        """The deployments of this stage so far, as its runtime's tags keep them."""
        tags = self.resources.get(RUNTIME, {}).get("Properties", {}).get("Tags", {})
        return versions_in(tags)

    @property
    def image(self) -> str:
        """The image that the runtime's stack names, by its digest; empty if none does."""
        return self.agent.parameters.get(IMAGE_URI, "") if self.agent else ""

    @property
    def stacks(self) -> set[str]:
        """The names of the stacks that stand."""
        return {live.name for live in (self.images, self.network, self.agent) if live}


@dataclass(frozen=True)
class Wanted:
    """What should stand: the shared stacks, and how the agent's stack is made of what they tell."""

    deployment: Deployment
    settings: Environment
    images: Stack
    network: Stack | None
    """None: AgentCore's own network, or the user's."""
    history: tuple[Version, ...] = ()

    def agent(self, image: str, network: Live | None) -> Stack:
        """The agent's stack with this image (by digest) in this network."""
        told: Mapping[str, str] = network.outputs if network else {}
        return agent_stack(
            self.deployment,
            self.settings,
            self.history,
            image,
            *(told[ids].split(",") if ids in told else () for ids in (SUBNETS, SECURITY_GROUPS)),
        )

    def with_version(self, digest: str, message: str, now: datetime) -> Wanted:
        """The same as one more deployment of the stage."""
        return replace(self, history=with_next_version(self.history, digest, message, now))


def read(
    aws: Aws, cloud: CloudFormation, together: TaskGroup, deployment: Deployment, tell: Tell
) -> Standing:
    """What stands. What AWS is just doing to a stack is waited for, and told."""
    stage = deployment.stage.name
    images, network, agent = (
        together.start(lambda name=name: cloud.wait(name, tell))
        for name in (
            aws_names.images_stack_name_for(deployment.name),
            aws_names.network_stack_name_for(deployment.name),
            aws_names.stack_name_for(deployment.name, stage),
        )
    )
    standing = Standing(
        images=_filled(together.result(images)),
        network=_filled(together.result(network)),
        agent=_filled(together.result(agent)),
    )
    if standing.agent is None:
        return standing
    outputs = standing.agent.outputs
    return replace(
        standing,
        template=cloud.template_of(standing.agent),
        runtime=agentcore.find(aws.client("bedrock-agentcore-control"), outputs["RuntimeId"])
        if "RuntimeId" in outputs
        else None,
        secret=_secret(aws, outputs["SecretArn"]) if "SecretArn" in outputs else None,
    )


def wanted_of(
    deployment: Deployment, settings: Environment, zones: Sequence[str], standing: Standing
) -> Wanted:
    """What should stand, with the deployments that there were so far."""
    network = network_stack(deployment, zones) if deployment.creates_network else None
    if network and standing.network:
        network = network.keeping(standing.network.parameters)
    return Wanted(deployment, settings, images_stack(deployment), network, standing.history)


def changes_by_hand(standing: Standing) -> list[str]:
    """In what the runtime is not what its stack made it; no template shows that."""
    if standing.agent is None or RUNTIME not in standing.resources:
        return []
    runtime = standing.runtime
    if runtime is None:
        return ["it was deleted"]
    found: list[str] = []
    if runtime.image != standing.image:
        found.append(f"its image is {runtime.image}")
    if runtime.role != standing.agent.outputs.get("RoleArn"):
        found.append(f"its role is {runtime.role}")
    properties = standing.resources[RUNTIME]["Properties"]
    if set(runtime.environment) != set(properties.get("EnvironmentVariables", {})):
        found.append(f"its variables are {', '.join(sorted(runtime.environment)) or 'none'}")
    if runtime.network != properties["NetworkConfiguration"]["NetworkMode"]:
        found.append(f"its network is {runtime.network}")
    return found


def is_up(cloud: CloudFormation, wanted: Wanted, standing: Standing, image: str) -> bool:
    """Whether all that should stand does; `image` is "" where it must be built yet."""
    images, network, agent = standing.images, standing.network, standing.agent
    if images is None or agent is None or not image or image != standing.image:
        return False
    if changes_by_hand(standing) or (standing.secret or {}) != wanted.settings.secret:
        return False
    if wanted.network and not (network and cloud.is_same(wanted.network, network)):
        return False
    return cloud.is_same(wanted.images, images) and cloud.is_same(
        wanted.agent(image, network if wanted.network else None), agent
    )


def plan(cloud: CloudFormation, wanted: Wanted, standing: Standing, image: str) -> tuple[Part, ...]:
    """What bringing it up would do to each stack; `image` is "" where it must be built yet."""
    network = standing.network if wanted.network else None
    agent = wanted.agent(image or f"{wanted.deployment.name}@{_UNKNOWN_DIGEST}", network)
    parts = [_plan(cloud, wanted.images, standing.images)]
    secret = secret_change(wanted.settings.secret, standing)
    if wanted.network:
        parts.append(_plan(cloud, wanted.network, network))
    if wanted.network and not (network and network.outputs):
        # CloudFormation checks the ids of subnets, and there are none yet.
        own = difference(agent, standing)
    else:
        own = _plan(cloud, agent, standing.agent)
    return (*parts, Part(own.stack, own.rows + secret))


def secret_change(wanted: Mapping[str, str], standing: Standing) -> tuple[Row, ...]:
    """The plan for the values in the agent's secret, by the names of what differs.

    No template shows them, and a secret that is new or goes is a row of its stack's anyway.
    """
    if not wanted or SECRET not in standing.resources or standing.secret == wanted:
        return ()
    known = standing.secret
    names_of = (
        "values"
        if known is None
        else ", ".join(
            sorted(name for name in {*wanted, *known} if wanted.get(name) != known.get(name))
        )
    )
    return (Row(Action.CHANGE, "secret", names_of, (SECRET,), 0.0),)


def unused_network(wanted: Wanted, standing: Standing) -> str:
    """The name of a network's stack that stands, and that this stage has no use for any more."""
    network = standing.network
    return network.name if network and network.stands and not wanted.network else ""


def bring_up(
    aws: Aws,
    cloud: CloudFormation,
    together: TaskGroup,
    wanted: Wanted,
    standing: Standing,
    image: Future[str],
    repository: Future[str],
    message: str,
    tell: Tell,
) -> Live:
    """The agent's stack, brought up with all it stands on; what can go on at once does.

    `image` will be the digest of an image that waits for the address of the `repository` to be
    pushed, which is told here unless it was known before. `message` says why this is deployed.
    """
    network = together.start(lambda: cloud.ensure(wanted.network, tell) if wanted.network else None)
    images = together.start(lambda: cloud.ensure(wanted.images, tell))
    base = together.start(lambda: _base(aws, cloud, wanted, standing, tell))
    address = together.result(images).outputs[REPOSITORY_URI]
    if not repository.done():
        repository.set_result(address)
    digest = together.result(image)
    uri = f"{address}@{digest}"
    version = wanted.with_version(digest, message, datetime.now(UTC))
    agent = version.agent(uri, together.result(network))
    return cloud.apply(agent, together.result(base), tell)


def finish(aws: Aws, deployment: Deployment, live: Live, pause: Sleep) -> list[str]:
    """What no stack can set, set where it is not; returns what had to be."""
    runtime_id = live.outputs["RuntimeId"]
    control = aws.client("bedrock-agentcore-control")
    done: list[str] = []
    if agentcore.require_mmdsv2(control, runtime_id, pause):
        done.append("turned requireMMDSV2 on")
    if _keep_logs(aws.client("logs"), runtime_id, deployment):
        done.append(f"set logs to be kept for {deployment.stage.log_retention_days} days")
    return done


def _keep_logs(logs: Any, runtime_id: str, deployment: Deployment) -> bool:
    """Whether it had to be said how long the runtime's logs are kept.

    AgentCore makes a group when an endpoint's first container starts; where it has not yet, the
    group is made here. A caller names the stage's endpoint, or none and so DEFAULT.
    """
    days = deployment.stage.log_retention_days
    listed = logs.describe_log_groups(logGroupNamePrefix=aws_names.log_group_for(runtime_id, ""))
    kept = {group["logGroupName"]: group.get("retentionInDays") for group in listed["logGroups"]}
    endpoints = (agentcore.DEFAULT_ENDPOINT, aws_names.endpoint_name_for(deployment.stage.name))
    wrong = [
        group
        for endpoint in endpoints
        if kept.get(group := aws_names.log_group_for(runtime_id, endpoint)) != days
    ]
    for group in wrong:
        if group not in kept:
            # AgentCore may make it in the meantime.
            with ignoring("ResourceAlreadyExistsException"):
                logs.create_log_group(logGroupName=group, tags=deployment.tags())
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    return bool(wrong)


def _base(
    aws: Aws, cloud: CloudFormation, wanted: Wanted, standing: Standing, tell: Tell
) -> Live | None:
    """The agent's stack with all that must be there before a new version of the runtime is."""
    new_secret = wanted.settings.secret and SECRET not in standing.resources
    agent = wanted.agent("", None)
    if standing.runtime is None:
        live = cloud.apply(foundation_of(agent), standing.agent, tell)
    elif new_secret:
        live = cloud.apply(with_runtime_of(agent, standing), standing.agent, tell)
    else:
        live = standing.agent
    if live and wanted.settings.secret and standing.secret != wanted.settings.secret:
        aws.client("secretsmanager").put_secret_value(
            SecretId=live.outputs["SecretArn"],
            SecretString=json.dumps(dict(wanted.settings.secret)),
        )
    return live


def with_runtime_of(stack: Stack, standing: Standing) -> Stack:
    """The stack, but with the runtime as it stands: its secret is filled before it changes."""
    kept = {name: standing.resources[name] for name in (RUNTIME, ENDPOINT)}
    declared: Json = standing.template.get("Parameters", {})
    template = stack.template | {"Resources": {**stack.resources, **kept}, "Parameters": declared}
    parameters = dict(standing.agent.parameters) if standing.agent else {}
    return replace(stack, template=template, parameters=parameters)


def _plan(cloud: CloudFormation, stack: Stack, live: Live | None) -> Part:
    if live is None or not live.stands:
        return part_of_new(stack)
    if cloud.is_same(stack, live):
        return Part(stack.name, ())
    changes = cloud.changes(stack, live)
    return part_of_change(changes) if changes else Part(stack.name, ())


def difference(stack: Stack, standing: Standing) -> Part:
    """The plan by comparing templates, where CloudFormation cannot be asked yet."""
    if standing.agent is None or not standing.agent.stands:
        return part_of_new(stack)
    before, after = standing.resources, stack.resources
    changes = [
        {
            "Action": "Add" if name not in before else "Modify" if name in after else "Remove",
            "LogicalResourceId": name,
            "ResourceType": (after.get(name) or before[name])["Type"],
            "Replacement": "False",
            "Details": [
                {"Target": {"Name": key}}
                for key, value in after.get(name, {}).get("Properties", {}).items()
                if name in before and before[name]["Properties"].get(key) != value
            ],
        }
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    return part_of_change(
        {"StackName": stack.name, "Changes": [{"ResourceChange": change} for change in changes]}
    )


def _filled(live: Live | None) -> Live | None:
    return live if live and not live.empty else None


def _secret(aws: Aws, arn: str) -> Mapping[str, str] | None:
    try:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=arn)
    except ClientError as error:
        # A secret whose stack died has no value yet; some may write secrets and not read them.
        if code_of(error) == "ResourceNotFoundException" or is_denied(error):
            return None
        raise
    return json.loads(answer["SecretString"])

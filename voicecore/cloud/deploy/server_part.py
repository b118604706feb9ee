"""Brings a stage's session server up and asks it for invites; each run begins with what stands."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import urllib3
from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, code_of, is_denied
from voicecore.aws.polling import Pause, pauses
from voicecore.aws.session import Aws
from voicecore.catalog import regions
from voicecore.catalog.turn_sources.variables import mistakes_in as turn_mistakes_in
from voicecore.cloud.deploy import ecs_service
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live, StackFailed, Tell
from voicecore.cloud.deploy.ecs_service import Fleet, Watch
from voicecore.cloud.deploy.plan import Action, Part, Row, part_of_change, part_of_new
from voicecore.cloud.stacks import turn_channels as relays
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import ADDRESS, bridge_stack, tasks_of
from voicecore.cloud.stacks.env_split import BadEnvironment, Environment
from voicecore.cloud.stacks.lambda_server import SECRET, URL, server_stack
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Advance
from voicecore.contract import invites
from voicecore.project import aws_names
from voicecore.project.schema import PUBLIC

HEALTHY_SECONDS = 60.0
"""For how long a server may be silent after its stack stands: AWS spreads new URLs and permissions.
"""

INVITE_HOURS = 12.0
"""As an invite's life is where nobody says another."""

_ANSWER_SECONDS = 30.0  # for one request; the first starts the server

_UNKNOWN_DIGEST = "sha256:" + "0" * 64
_UNKNOWN_ARN = "arn:aws:bedrock-agentcore:::runtime/none-yet"


class CannotHost(VoicecoreError):
    """The session server cannot be put into AWS as it is asked for."""


class NotHosted(VoicecoreError):
    """There is no session server in AWS."""


class ServerDown(AwsRefused):
    """The session server stands, and does not answer."""


@dataclass(frozen=True)
class Standing:
    """What stands of a stage's session server."""

    live: Live | None = None
    template: Json = field(default_factory=dict[str, Any])
    secret: Mapping[str, str] | None = field(default=None, repr=False)
    """What its secret holds; None: there is none, or it may not be read."""
    secret_version: str = ""
    draining: Fleet | None = None
    """Its tasks, where old ones still have calls, which alone keeps its last update from its end.
    """
    image: str = ""
    """What the new ones run then: how far an update has come, no stack tells."""

    @property
    def resources(self) -> Mapping[str, Json]:
        """The resources of its template."""
        return self.template.get("Resources", {})


@dataclass(frozen=True)
class Wanted:
    """The session server as it should be."""

    deployment: Deployment
    settings: Environment
    network: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the outputs of the project's network say, where it is known already."""

    @property
    def carries_calls(self) -> bool:
        """Whether it is one for ECS, in that network; else for Lambda."""
        return carries_calls(self.deployment, self.settings)

    @property
    def note(self) -> str:
        """What its tasks do not share, where there may be several; empty for nothing."""
        tasks = tasks_of(self.deployment)
        if not self.carries_calls or tasks == 1 or "SESSION_STORE" in self.settings.secret:
            return ""
        return (
            f"Up to {tasks} tasks of the server will run, and each counts limits by itself: "
            f"together they allow {tasks} times what server/.env says. Calls go well all the same. "
            "They share limits by SESSION_STORE: a Redis that the network reaches."
        )

    def stack(self, image: str, runtime_arn: str, secret_version: str) -> Stack:
        """Its stack with this image (by digest) for this agent."""
        given = (self.deployment, self.settings, image, runtime_arn, secret_version)
        return bridge_stack(*given, self.network) if self.carries_calls else server_stack(*given)


def read(
    aws: Aws, cloud: CloudFormation, deployment: Deployment, tell: Tell, drained: bool = False
) -> Standing:
    """What stands of the server. What AWS is just doing to it is waited for, and told.

    Unless it does nothing but keep old tasks for their calls; with `drained`, for those, too.
    """
    name = aws_names.server_for(deployment.name, deployment.stage.name)
    live, draining = cloud.find(name), None
    if live and live.status == "UPDATE_IN_PROGRESS" and not drained:
        found = ecs_service.find(aws, name, calls=True) if on_ecs(live) else None
        draining = found if found and found.taken_over else None
    if draining is None:
        live = cloud.wait(name, tell)
    if live is None or live.empty:
        return Standing()
    image = ecs_service.image_of(aws, draining) if draining else ""
    standing = Standing(live, cloud.template_of(live), draining=draining, image=image)
    if "SecretArn" not in live.outputs:
        return standing
    try:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=live.outputs["SecretArn"])
    except ClientError as error:
        # A secret whose stack died has no value yet; some may write secrets and not read them.
        if code_of(error) == "ResourceNotFoundException" or is_denied(error):
            return standing
        raise
    secret = json.loads(answer["SecretString"])
    return replace(standing, secret=secret, secret_version=answer["VersionId"])


def on_ecs(live: Live) -> bool:
    """Whether this server's stack is of one that carries calls."""
    return "Cluster" in live.outputs


def carries_calls(deployment: Deployment, settings: Environment) -> bool:
    """Whether calls run through the server for as long as they last, which Lambda has not.

    Vonage alone, and only where it is told to, dials the agent by itself.
    """
    direct = [phone.name for phone in deployment.phones] == ["vonage"]
    if direct and settings.plain.get("VONAGE_DIRECT") == "1":
        return False
    return _answers_phones(deployment)


def _answers_phones(deployment: Deployment) -> bool:
    return any(transport.serves for transport in deployment.transports)


def require_possible(deployment: Deployment, settings: Environment) -> None:
    """Raise CannotHost where there can be no server, or one that gets nobody to the agent.

    Raises BadEnvironment where it lacks a telephone provider's credentials.
    """
    region = deployment.stage.region
    if carries_calls(deployment, settings):
        _require_bridge(deployment)
    elif region not in regions.FUNCTION_URLS:
        raise CannotHost(
            f"Lambda has no function URLs in {region}, which the session server needs.",
            "Host it elsewhere: server/compose.yaml says how.",
            ExitCode.BAD_PROJECT,
        )
    _require_credentials(deployment, settings)
    if not deployment.needs_turn:
        return
    variables = {**relays.variables_of(deployment), **settings.plain, **settings.secret}
    found = turn_mistakes_in(variables, in_aws=True, udp=deployment.network != PUBLIC)
    if fatal := [mistake for mistake in found if mistake.fatal]:
        raise CannotHost(
            "server/.env leaves callers without a TURN relay, and in AWS they reach the agent "
            "by nothing else:\n" + "\n".join(f"  {m.variable} {m.message}" for m in fatal),
            "Give the server the same variables as agent/.env has.",
            ExitCode.BAD_PROJECT,
        )


def _require_bridge(deployment: Deployment) -> None:
    """Raise CannotHost where no server can carry the calls of this stage's telephone numbers."""
    stage, server = deployment.stage, deployment.stage.server
    if not deployment.makes_network:
        why = (
            f'this stage has network = "{PUBLIC}"'
            if deployment.network == PUBLIC
            else "the subnets in [vpc] are private ones"
        )
        raise CannotHost(
            "A server that carries calls stands behind a load balancer, in public subnets of the "
            f"network that voicecore makes; {why}.",
            'Set network = "vpc" in voicecore.toml, without subnets; or host it elsewhere: '
            "server/compose.yaml says how.",
            ExitCode.BAD_PROJECT,
        )
    if server.certificate and (there := server.certificate.split(":")[3]) != stage.region:
        raise CannotHost(
            f"The certificate of {server.domain} is in {there}, and the load balancer in "
            f"{stage.region} takes those of its own region only.",
            f"Ask for one there:  aws acm request-certificate --region {stage.region} "
            f"--validation-method DNS --domain-name {server.domain}",
            ExitCode.BAD_PROJECT,
        )
    if not server.domain and stage.region not in regions.CLOUDFRONT:
        raise CannotHost(
            f"There is no CloudFront in {stage.region}, so the server needs a name of yours.",
            "Give [server] in voicecore.toml its domain and certificate.",
            ExitCode.BAD_PROJECT,
        )


def _require_credentials(deployment: Deployment, settings: Environment) -> None:
    """Raise BadEnvironment where a telephone provider could not be known from a stranger."""
    given = {**settings.plain, **settings.secret}
    missing = [
        f"{name} is missing: without it {phone.title}'s calls are refused"
        for phone in deployment.phones
        for name in phone.secrets
        if name not in given
    ]
    if missing and _answers_phones(deployment):
        raise BadEnvironment(missing, "server/.env")


def is_up(
    cloud: CloudFormation, wanted: Wanted, standing: Standing, image: str, runtime_arn: str
) -> bool:
    """Whether the server is what it should be; `image` is "" where it must be built yet."""
    if standing.live is None or not image or not runtime_arn:
        return False
    if (standing.secret or {}) != wanted.settings.secret:
        return False
    stack = wanted.stack(image, runtime_arn, standing.secret_version)
    if standing.draining:
        return image == standing.image and cloud.is_meant(stack, standing.live)
    return cloud.is_same(stack, standing.live)


_RUN_BY = {"AWS::ECS::Service": "ECS Fargate", "AWS::Lambda::Function": "AWS Lambda"}


def require_same_kind(wanted: Wanted, standing: Standing) -> None:
    """Raise CannotHost where a server of the other kind stands: neither becomes the other."""
    types = {resource["Type"] for resource in standing.resources.values()}
    runs = [title for kind, title in _RUN_BY.items() if kind in types]
    comes = _RUN_BY["AWS::ECS::Service" if wanted.carries_calls else "AWS::Lambda::Function"]
    if not runs or comes in runs:
        return
    raise CannotHost(
        f"The session server runs on {runs[0]}, and should now run on {comes}: another server, "
        "with another URL and another key.",
        "Take the one away, then bring the other up:\n"
        f"voicecore destroy --only-server{aws_names.stage_flag(wanted.deployment.stage.name)}\n"
        f"voicecore deploy --server{aws_names.stage_flag(wanted.deployment.stage.name)}",
        ExitCode.BAD_PROJECT,
    )


def plan(
    cloud: CloudFormation, wanted: Wanted, standing: Standing, image: str, runtime_arn: str
) -> Part:
    """What bringing it up would do; `image` and `runtime_arn` are "" where they are not known.

    One that only keeps old calls is up as it should be: another is waited for before (`read`).
    """
    live = standing.live
    if standing.draining:
        return Part(aws_names.server_for(wanted.deployment.name, wanted.deployment.stage.name), ())
    stack = wanted.stack(
        image or f"{wanted.deployment.name}@{_UNKNOWN_DIGEST}",
        runtime_arn or _UNKNOWN_ARN,
        standing.secret_version,
    )
    if live is None or not live.stands:
        return part_of_new(stack)
    changes = None if cloud.is_same(stack, live) else cloud.changes(stack, live)
    part = part_of_change(changes) if changes else Part(stack.name, ())
    wants = wanted.settings.secret
    if not wants or SECRET not in standing.resources or standing.secret == wants:
        return part
    told = ", ".join(sorted(k for k in wants if wants[k] != (standing.secret or {}).get(k)))
    row = Row(Action.CHANGE, "secret", told or "values", (SECRET,), 0.0)
    return Part(part.stack, (*part.rows, row))


def bring_up(
    aws: Aws,
    cloud: CloudFormation,
    wanted: Wanted,
    standing: Standing,
    image: str,
    runtime_arn: str,
    tell: Tell,
    advance: Advance,
) -> Live:
    """The server's stack; the secret has its value before the server reads it.

    Where calls run through it, old tasks keep theirs, and are not waited for.
    """
    live, version = standing.live, standing.secret_version
    if wanted.settings.secret and standing.secret != wanted.settings.secret:
        stack = wanted.stack(image, runtime_arn, version)
        if SECRET not in standing.resources or live is None:
            live = cloud.apply(_with_secret(stack, standing), live, tell)
        version = aws.client("secretsmanager").put_secret_value(
            SecretId=live.outputs["SecretArn"],
            SecretString=json.dumps(dict(wanted.settings.secret)),
        )["VersionId"]
    stack = wanted.stack(image, runtime_arn, version)
    if not wanted.carries_calls:
        return cloud.apply(stack, live, tell)
    before = ecs_service.find(aws, stack.name) if live else None
    watch = Watch(aws, stack.name, before, advance)
    # Of a stack that is not done, outputs are not known to be its new ones.
    same = standing.template.get("Outputs") == stack.template["Outputs"]
    try:
        return cloud.apply(stack, live, tell, lambda: watch() and same)
    except StackFailed as error:
        if not watch.trouble:
            raise
        lines = [error.message, "The last task that failed:", *watch.trouble]
        raise StackFailed("\n  ".join(lines), error.hint) from error


def _with_secret(stack: Stack, standing: Standing) -> Stack:
    """The stack as it stands, but with its secret; where nothing stands, the secret alone."""
    outputs: Json = stack.template["Outputs"]
    added = stack.without(name for name in stack.resources if name != SECRET)
    if standing.live is None:
        return added
    template = standing.template | {
        "Resources": {**standing.resources, SECRET: stack.resources[SECRET]},
        "Outputs": {**standing.template["Outputs"], "SecretArn": outputs["SecretArn"]},
    }
    return replace(stack, template=template, parameters=dict(standing.live.parameters))


def require_health(live: Live, pause: Pause, now: Callable[[], float] = time.monotonic) -> None:
    """Return once the server answers. Raises ServerDown if it does not within a minute."""
    deadline = now() + HEALTHY_SECONDS
    for seconds in pauses():
        said = _health(live)
        if not said:
            return
        if now() > deadline:
            raise ServerDown(
                f"The session server is there, but does not answer at {live.outputs[URL]}: {said}",
                f"See why:  aws logs tail {_log_group_of(live)} --since 10m",
            )
        pause(seconds)


def record_for(live: Live) -> str:
    """Where the server's own domain must lead; empty where it does, or where there is none."""
    address = live.outputs.get(ADDRESS, "")
    domain = urlsplit(live.outputs[URL]).hostname or ""
    if not address or _addresses(domain) & _addresses(address):
        return ""
    return address


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        return set()


def _log_group_of(live: Live) -> str:
    if on_ecs(live):
        return aws_names.ecs_log_group_for(live.name)
    return aws_names.lambda_log_group_for(live.outputs["FunctionName"])


def _health(live: Live) -> str:
    """What is wrong with the server; empty if nothing is."""
    url = f"{live.outputs[URL]}health"
    if address := live.outputs.get(ADDRESS):
        return _health_behind(address, url)
    try:
        with urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - AWS's URL
            return "" if answer.status == 200 else str(answer.status)
    except HTTPError as error:
        with error:
            return f"{error.code} {error.read(300).decode(errors='replace')}"
    except (URLError, OSError) as error:
        return str(error)


def _health_behind(address: str, url: str) -> str:
    """The same of a domain which may not lead to its load balancer yet."""
    domain, where = urlsplit(url).netloc, urlsplit(f"//{address}")
    pool = urllib3.HTTPSConnectionPool(
        str(where.hostname),
        where.port or 443,
        timeout=_ANSWER_SECONDS,
        server_hostname=domain,
        assert_hostname=domain,
    )
    try:
        with pool:
            answer = pool.request("GET", "/health", headers={"Host": domain}, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    return "" if answer.status == 200 else f"{answer.status} {answer.data[:300].decode()}"


def find(aws: Aws, cloud: CloudFormation, project: str, stage: str) -> Live:
    """The server's stack. Raises NotHosted if there is none."""
    live = cloud.find(aws_names.server_for(project, stage))
    if live is None or URL not in live.outputs:
        raise NotHosted(
            f"{project} · {stage} has no session server in {aws.region}.",
            f"To put it there:  voicecore deploy --server{aws_names.stage_flag(stage)}",
            ExitCode.NOT_DEPLOYED,
        )
    return live


def page_for(aws: Aws, live: Live, hours: float = INVITE_HOURS) -> str:
    """The address of the server's page, with an invite for so many hours. Raises ServerDown."""
    seconds = hours * 3600
    said = _signed(aws, live, seconds) if on_ecs(live) else _asked(aws, live, seconds)
    return f"{live.outputs[URL]}#{said}"


def _signed(aws: Aws, live: Live, seconds: float) -> str:
    """An invite that is signed here, as a task has no door but the world's; the key is not kept."""
    answer = aws.client("secretsmanager").get_secret_value(SecretId=live.outputs["SessionKeyArn"])
    key = json.loads(answer["SecretString"])["SESSION_API_KEY"]
    return invites.invite(key, time.time() + seconds)


def _asked(aws: Aws, live: Live, seconds: float) -> str:
    """An invite of the function itself, which IAM guards: the key stays where it is."""
    answer = aws.client("lambda").invoke(
        FunctionName=live.outputs["FunctionName"],
        Payload=json.dumps({"invite_seconds": seconds}),
    )
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise ServerDown(
            f"The session server makes no invite: {document.get('errorMessage')}",
            f"See why:  aws logs tail {_log_group_of(live)} --since 10m",
        )
    return document["invite"]

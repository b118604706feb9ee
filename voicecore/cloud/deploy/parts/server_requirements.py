"""Owns what a session server in AWS requires: region, network, relay, credentials, certificate."""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.catalog import regions
from voicecore.catalog.turn_sources.variables import mistakes_in as turn_mistakes_in
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import BadEnvironment, Environment
from voicecore.cloud.stacks.stack import Json
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.settings.network import PUBLIC

_COMPUTE = {"AWS::ECS::Service": "ECS Fargate", "AWS::Lambda::Function": "AWS Lambda"}


class CannotDeployServer(VoicecoreError):
    """The session server cannot be deployed as the project asks for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


def carries_calls(deployment: Deployment, environment: Environment) -> bool:
    """Return True when calls pass through the server, which then runs on ECS instead of Lambda.

    A provider that connects to the agent itself does so only as the only one, if told to.
    """
    direct = deployment.phones[0].direct if len(deployment.phones) == 1 else ""
    if direct and environment.plain.get(direct) == "1":
        return False
    return _answers_phones(deployment)


def _answers_phones(deployment: Deployment) -> bool:
    return any(transport.by_phone for transport in deployment.transports)


def require_server_possible(deployment: Deployment, environment: Environment) -> None:
    """Raise CannotDeployServer where no server could run, or callers could not reach the agent.

    Raises BadEnvironment when a phone provider's credentials are missing.
    """
    region = deployment.stage.region
    if carries_calls(deployment, environment):
        _require_ecs_possible(deployment)
    elif region not in regions.FUNCTION_URLS:
        raise CannotDeployServer(
            f"The session server needs a Lambda function URL, and AWS promises none in {region}.",
            "Host the server elsewhere, as server/compose.yaml describes; or choose another region "
            f"for this stage, such as {_near(region)}.",
        )
    _require_credentials(deployment, environment)
    if not deployment.needs_turn:
        return
    variables = {
        **turn_channels.turn_variables(deployment),
        **environment.plain,
        **environment.secret,
    }
    found = turn_mistakes_in(variables, in_aws=True, udp=deployment.network != PUBLIC)
    if fatal := [mistake for mistake in found if mistake.fatal]:
        raise CannotDeployServer(
            "server/.env configures no usable TURN source, and in AWS callers reach the agent only "
            "through a TURN relay:\n" + "\n".join(f"  {m.variable} {m.message}" for m in fatal),
            "Set the same variables in server/.env as in agent/.env.",
        )


def _near(region: str) -> str:
    """Return a region with function URLs, in the same part of the world if there is one."""
    part = region.partition("-")[0]
    return next((r for r in regions.FUNCTION_URLS if r.startswith(part)), regions.DEFAULT)


def _require_ecs_possible(deployment: Deployment) -> None:
    stage, server = deployment.stage, deployment.stage.server
    if not deployment.creates_network:
        why = (
            f'this stage has network = "{PUBLIC}"'
            if deployment.network == PUBLIC
            else "[vpc] lists private subnets"
        )
        raise CannotDeployServer(
            "A server that carries calls needs a load balancer in public subnets, which only a "
            f"network created by voicecore has; {why}.",
            'Set network = "vpc" in voicecore.toml, without subnets; or host the server elsewhere, '
            "as server/compose.yaml describes.",
        )
    if server.certificate and (region := server.certificate.split(":")[3]) != stage.region:
        raise CannotDeployServer(
            f"The certificate of {server.domain} is in {region}; a load balancer in "
            f"{stage.region} needs one in its own region.",
            f"Request one there:  aws acm request-certificate --region {stage.region} "
            f"--validation-method DNS --domain-name {server.domain}",
        )
    if not server.domain and stage.region not in regions.CLOUDFRONT:
        raise CannotDeployServer(
            f"CloudFront is not available in {stage.region}, so the server needs your own domain.",
            "Set domain and certificate under [server] in voicecore.toml.",
        )


def _require_credentials(deployment: Deployment, environment: Environment) -> None:
    """Raise BadEnvironment where the server could not verify a phone provider's requests."""
    given = {**environment.plain, **environment.secret}
    missing = [
        f"{name} is missing: the server rejects {phone.title}'s calls without it"
        for phone in deployment.phones
        for name in phone.secrets
        if name not in given
    ]
    if missing and _answers_phones(deployment):
        raise BadEnvironment(missing, "server/.env")


def require_same_compute(on_ecs: bool, resources: Mapping[str, Json], stage: str) -> None:
    """Raise CannotDeployServer when the deployed server runs on Lambda instead of ECS, or reverse.

    Neither can become the other: URL and session key differ.
    """
    types = {resource["Type"] for resource in resources.values()}
    current = [title for type_, title in _COMPUTE.items() if type_ in types]
    desired = _COMPUTE["AWS::ECS::Service" if on_ecs else "AWS::Lambda::Function"]
    if not current or desired in current:
        return
    flag = aws_names.stage_flag(stage)
    raise CannotDeployServer(
        f"The session server runs on {current[0]} and must move to {desired}, as another server "
        "with another URL and another key.",
        f"Delete the current server, then deploy the new one:\n"
        f"voicecore destroy --only-server{flag}\n"
        f"voicecore deploy --server{flag}",
    )

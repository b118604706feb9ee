"""Owns a deployed session server as its callers see it: health, invites and DNS record."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import urllib3

from voicecore.aws.errors import AwsRefused
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.cloud.deploy.parts.server_state import on_ecs
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.ecs_server import ADDRESS
from voicecore.cloud.stacks.server_stack import URL
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.contract import invites
from voicecore.project import aws_names
from voicecore.project.defaults import INVITE_HOURS

HEALTHY_SECONDS = 60.0
"""Seconds until a new server must answer: AWS takes time to propagate URLs and permissions."""

_REQUEST_SECONDS = 30.0  # the first request starts the server


class ServerNotDeployed(VoicecoreError):
    """The stage has no session server in AWS."""


class ServerNotHealthy(AwsRefused):
    """The session server is deployed and does not answer."""


def find_deployed(aws: Aws, cloud: CloudFormation, project: str, stage: str) -> DeployedStack:
    """Return the server's stack. Raises ServerNotDeployed."""
    stack = cloud.find(aws_names.server_for(project, stage))
    if stack is None or URL not in stack.outputs:
        raise ServerNotDeployed(
            f"{project} · {stage} has no session server in {aws.region}.",
            f"Deploy it:  voicecore deploy --server{aws_names.stage_flag(stage)}",
            ExitCode.NOT_DEPLOYED,
        )
    return stack


def require_health(
    stack: DeployedStack, pause: Sleep, now: Callable[[], float] = time.monotonic
) -> None:
    """Return once the server answers. Raises ServerNotHealthy if it does not within a minute."""
    deadline = now() + HEALTHY_SECONDS
    for seconds in poll_intervals():
        failure = _health_failure(stack)
        if not failure:
            return
        if now() > deadline:
            raise ServerNotHealthy(
                f"The session server is deployed but does not answer at {stack.outputs[URL]}: "
                f"{failure}",
                f"To see why, run:  aws logs tail {_log_group(stack)} --since 10m",
            )
        pause(seconds)


def missing_record(stack: DeployedStack) -> str:
    """Return where the server's own domain must point; empty if it does, or there is none."""
    address = stack.outputs.get(ADDRESS, "")
    domain = urlsplit(stack.outputs[URL]).hostname or ""
    if not address or _addresses(domain) & _addresses(address):
        return ""
    return address


def invite_url(aws: Aws, stack: DeployedStack, hours: float = INVITE_HOURS) -> str:
    """Return the URL of the server's page with an invite for this many hours.

    Raises ServerNotHealthy.
    """
    seconds = hours * 3600
    create = _sign_invite if on_ecs(stack) else _ask_invite
    return f"{stack.outputs[URL]}#{create(aws, stack, seconds)}"


def _sign_invite(aws: Aws, stack: DeployedStack, seconds: float) -> str:
    """Return an invite signed here: a task has no entrance that IAM guards. The key is not kept."""
    answer = aws.client("secretsmanager").get_secret_value(SecretId=stack.outputs["SessionKeyArn"])
    key = json.loads(answer["SecretString"])["SESSION_API_KEY"]
    return invites.sign_invite(key, time.time() + seconds)


def _ask_invite(aws: Aws, stack: DeployedStack, seconds: float) -> str:
    """Return an invite from the Lambda function, which IAM guards: the key stays there."""
    answer = aws.client("lambda").invoke(
        FunctionName=stack.outputs["FunctionName"],
        Payload=json.dumps({"invite_seconds": seconds}),
    )
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise ServerNotHealthy(
            f"The session server could not create an invite: {document.get('errorMessage')}",
            f"To see why, run:  aws logs tail {_log_group(stack)} --since 10m",
        )
    return document["invite"]


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        return set()


def _log_group(stack: DeployedStack) -> str:
    if on_ecs(stack):
        return aws_names.ecs_log_group_for(stack.name)
    return aws_names.lambda_log_group_for(stack.outputs["FunctionName"])


def _health_failure(stack: DeployedStack) -> str:
    """Ask for the server's health, and return what is wrong; empty if nothing is."""
    url = f"{stack.outputs[URL]}health"
    if address := stack.outputs.get(ADDRESS):
        return _health_failure_at(address, url)
    try:
        # Without a context, urlopen keeps the authorities of the process's first call.
        trust = ssl.create_default_context()
        with urlopen(url, timeout=_REQUEST_SECONDS, context=trust) as answer:  # noqa: S310 - AWS's
            return "" if answer.status == 200 else str(answer.status)
    except HTTPError as error:
        with error:
            return f"{error.code} {error.read(300).decode(errors='replace')}"
    except (URLError, OSError) as error:
        return str(error)


def _health_failure_at(address: str, url: str) -> str:
    """Ask at the load balancer's address: the domain may not point there yet."""
    domain, where = urlsplit(url).netloc, urlsplit(f"//{address}")
    pool = urllib3.HTTPSConnectionPool(
        str(where.hostname),
        where.port or 443,
        timeout=_REQUEST_SECONDS,
        server_hostname=domain,
        assert_hostname=domain,
    )
    try:
        with pool:
            answer = pool.request("GET", "/health", headers={"Host": domain}, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    return "" if answer.status == 200 else f"{answer.status} {answer.data[:300].decode()}"

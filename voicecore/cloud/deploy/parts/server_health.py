"""Owns a deployed session server as its callers see it: health, invites and DNS record."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

import urllib3

from voicecore.aws.errors import AwsRefused
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.cloud.deploy.parts.server_state import on_ecs
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.secrets import secret_value
from voicecore.cloud.stacks.ecs_server import ADDRESS
from voicecore.cloud.stacks.server_stack import URL
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.proxies import proxy_for
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
    """Return where the server's own domain must point; empty if it does, or there is none.

    Also empty where this machine cannot tell: behind a proxy, it may have no names of the internet.
    """
    address = stack.outputs.get(ADDRESS, "")
    domain = urlsplit(stack.outputs[URL]).hostname or ""
    wanted = _addresses(address) if address else set[str]()
    return address if wanted and not _addresses(domain) & wanted else ""


def invite_url(aws: Aws, stack: DeployedStack, hours: float = INVITE_HOURS) -> str:
    """Return the URL of the server's page with an invite for this many hours.

    Raises ServerNotHealthy.
    """
    seconds = hours * 3600
    create = _sign_invite if on_ecs(stack) else _ask_invite
    return f"{stack.outputs[URL]}#{create(aws, stack, seconds)}"


def revoke_invite(aws: Aws, stack: DeployedStack, id: str) -> int | None:
    """Make the server refuse an invite from now on; return how many of its sessions were ended.

    None if the server was deployed by an earlier version, which ends none. Raises ServerNotHealthy.
    """
    if not on_ecs(stack):
        return _invoke(aws, stack, "revoke the invite", {"revoke_invite": id}).get("ended")
    request = Request(  # noqa: S310 - see _open
        f"{stack.outputs[URL]}invites/{id}",
        headers={"Authorization": f"Bearer {_key(aws, stack)}"},
        method="DELETE",
    )
    try:
        with _open(request) as answer:
            return json.loads(answer.read() or b"{}").get("ended")
    except (URLError, OSError) as error:
        raise _not_done(stack, "revoke the invite", str(error)) from error


def _sign_invite(aws: Aws, stack: DeployedStack, seconds: float) -> str:
    """Return an invite signed here: a task has no entrance that IAM guards."""
    return invites.sign_invite(_key(aws, stack), time.time() + seconds)


def _key(aws: Aws, stack: DeployedStack) -> str:
    """Return the server's key; it is not kept."""
    answer = secret_value(aws, stack.outputs["SessionKeyArn"])
    return json.loads(answer["SecretString"])["SESSION_API_KEY"]


def _ask_invite(aws: Aws, stack: DeployedStack, seconds: float) -> str:
    """Return an invite from the Lambda function, which IAM guards: the key stays there."""
    return _invoke(aws, stack, "create an invite", {"invite_seconds": seconds})["invite"]


def _invoke(
    aws: Aws, stack: DeployedStack, what: str, event: Mapping[str, object]
) -> dict[str, Any]:
    answer = aws.client("lambda").invoke(
        FunctionName=stack.outputs["FunctionName"], Payload=json.dumps(event)
    )
    document = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        # An exception without a message, such as a timeout, has a type only.
        raise _not_done(stack, what, document.get("errorMessage") or document.get("errorType"))
    return document


def _not_done(stack: DeployedStack, what: str, why: object) -> ServerNotHealthy:
    return ServerNotHealthy(
        f"The session server could not {what}: {why}",
        f"To see why, run:  aws logs tail {_log_group(stack)} --since 10m",
    )


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        return set()


def _log_group(stack: DeployedStack) -> str:
    if on_ecs(stack):
        return aws_names.ecs_log_group_for(stack.outputs["Cluster"])
    return aws_names.lambda_log_group_for(stack.outputs["FunctionName"])


def _open(request: str | Request) -> Any:
    # The URL is AWS's, or of the owner's domain.
    return urlopen(request, timeout=_REQUEST_SECONDS, context=_trust())  # noqa: S310


def _trust() -> ssl.SSLContext:
    # Not shared: urlopen and urllib3 keep the authorities of the process's first call.
    return ssl.create_default_context()


def _health_failure(stack: DeployedStack) -> str:
    """Ask for the server's health, and return what is wrong; empty if nothing is."""
    url = f"{stack.outputs[URL]}health"
    if address := stack.outputs.get(ADDRESS):
        return _health_failure_at(address, url)
    try:
        with _open(url) as answer:
            return "" if answer.status == 200 else str(answer.status)
    except HTTPError as error:
        with error:
            return f"{error.code} {error.read(300).decode(errors='replace')}"
    except (URLError, OSError) as error:
        return str(error)


def _health_failure_at(address: str, url: str) -> str:
    """Ask at the load balancer's address: the domain may not point there yet."""
    domain, there = urlsplit(url).netloc, f"https://{address}/health"
    options: dict[str, Any] = {
        "timeout": _REQUEST_SECONDS,
        "server_hostname": domain,
        "assert_hostname": domain,
        "ssl_context": _trust(),
    }
    try:
        with _connections(proxy_for(there), options) as pool:
            answer = pool.request("GET", there, headers={"Host": domain}, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    return "" if answer.status == 200 else f"{answer.status} {answer.data[:300].decode()}"


def _connections(proxy: str | None, options: dict[str, Any]) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager(**options)
    login = urlsplit(proxy).netloc.rpartition("@")[0]
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)

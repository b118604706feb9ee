"""Owns the runtimes of the probes: created, waited for, invoked, called over /ws."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.aws.settle.account import Account, Unanswered, code_of

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_GONE_SECONDS = 120


@dataclass(frozen=True)
class Runtime:
    """A runtime that is READY, as GetAgentRuntime describes it."""

    account: Account
    id: str
    arn: str
    seconds: float = 0.0
    """Time from its creation to READY."""

    def describe(self) -> dict[str, Any]:
        """Return what AgentCore says of it."""
        control = self.account.client("bedrock-agentcore-control")
        return control.get_agent_runtime(agentRuntimeId=self.id)

    def update(self, **changes: Any) -> dict[str, Any]:
        """Send all settings again with changes, wait, and return the new description."""
        described = self.describe()
        kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration", "environmentVariables",
                "protocolConfiguration", "lifecycleConfiguration")  # fmt: skip
        settings = {name: described[name] for name in kept if name in described}
        control = self.account.client("bedrock-agentcore-control")
        control.update_agent_runtime(agentRuntimeId=self.id, **settings | changes)
        return ready(self.account, self.id)

    def ask(self, session: str | None = None) -> dict[str, Any]:
        """Invoke it, and return the agent's answer."""
        answer = self.account.client("bedrock-agentcore").invoke_agent_runtime(
            agentRuntimeArn=self.arn, runtimeSessionId=session or new_session(), payload=b"{}"
        )
        found = json.loads(answer["response"].read())
        if "boot" not in found:
            raise Unanswered("another agent than that of the probes answered")
        return found

    def outcome(self) -> str:
        """Invoke it, and return "answers", or AWS's code."""
        try:
            self.ask()
        except ClientError as error:
            return code_of(error)
        except Unanswered:
            pass  # AgentCore has let the call through
        return "answers"

    def url(self, *, encoded: bool = True, query: str = "qualifier=DEFAULT") -> str:
        """Return the address of its WebSocket; `encoded`: with the ARN encoded, as one segment."""
        endpoint = self.account.client("bedrock-agentcore").meta.endpoint_url
        arn = quote(self.arn, safe="") if encoded else self.arn
        return f"{endpoint}/runtimes/{arn}/ws?{query}"

    def presigned(self, url: str) -> str:
        """Return the address with a signature in its query."""
        request = AWSRequest("GET", url=url)
        SigV4QueryAuth(
            self.account.session.get_credentials(),
            "bedrock-agentcore",
            self.account.region,
            expires=300,
        ).add_auth(request)
        assert request.url
        return request.url

    def signed_headers(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers with a signature that covers them."""
        request = AWSRequest("GET", url=url, headers=dict(headers))
        credentials = self.account.session.get_credentials()
        SigV4Auth(credentials, "bedrock-agentcore", self.account.region).add_auth(request)
        return dict(request.headers.items())


def create(account: Account, suffix: str, image: str, role: str, **settings: Any) -> Runtime:
    """Create a runtime of the probes' image, and wait until it is READY."""
    control = account.client("bedrock-agentcore-control")
    began = time.monotonic()

    def made() -> dict[str, Any] | None:
        try:
            return control.create_agent_runtime(
                agentRuntimeName=f"{account.underscored}_{suffix}",
                agentRuntimeArtifact={"containerConfiguration": {"containerUri": image}},
                roleArn=role,
                networkConfiguration={"networkMode": "PUBLIC"},
                protocolConfiguration={"serverProtocol": "HTTP"},
                lifecycleConfiguration={"idleRuntimeSessionTimeout": 60, "maxLifetime": 900},
                **settings,
            )
        except ClientError as error:
            if "role" in str(error).lower() and code_of(error) == "ValidationException":
                return None  # IAM has not propagated it yet
            raise

    answer = account.until(made, "the role", every=5)
    runtime_id = answer["agentRuntimeId"]
    account.later(
        f"runtime {runtime_id}", lambda: control.delete_agent_runtime(agentRuntimeId=runtime_id)
    )
    described = ready(account, runtime_id)
    return Runtime(account, runtime_id, described["agentRuntimeArn"], time.monotonic() - began)


def ready(account: Account, runtime_id: str) -> dict[str, Any]:
    """Return the runtime's description once AgentCore is not changing it."""
    control = account.client("bedrock-agentcore-control")

    def described() -> dict[str, Any] | None:
        found = control.get_agent_runtime(agentRuntimeId=runtime_id)
        return None if found["status"].endswith("ING") else found

    return account.until(described, f"runtime {runtime_id}")


def new_session() -> str:
    """Return an ID that AgentCore accepts."""
    return f"settle-{uuid.uuid4()}"


def open_socket(url: str, headers: Mapping[str, str] | None = None) -> ClientConnection:
    """Connect. Raises InvalidStatus."""
    address = url.replace("http", "ws", 1)
    return connect(address, additional_headers=headers, open_timeout=60, max_size=None)


def upgrade(url: str, headers: Mapping[str, str] | None = None) -> str:
    """Connect, and return the session that the container saw, or the status of a refusal."""
    try:
        with open_socket(url, headers) as socket:
            return str(socket.recv(timeout=30))
    except InvalidStatus as refused:
        return f"HTTP {refused.response.status_code}"


def delete_logs(account: Account) -> None:
    """Delete the log groups of all runtimes of this run, once the runtimes are gone.

    A container that still ends would create its group again.
    """
    control, logs = account.client("bedrock-agentcore-control"), account.client("logs")
    gone = time.monotonic() + _GONE_SECONDS
    while time.monotonic() < gone:
        pages = control.get_paginator("list_agent_runtimes").paginate()
        named = [found["agentRuntimeName"] for page in pages for found in page["agentRuntimes"]]
        if not any(name.startswith(account.underscored) for name in named):
            break
        time.sleep(3)
    prefix = f"/aws/bedrock-agentcore/runtimes/{account.underscored}_"
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
        for group in page["logGroups"]:
            logs.delete_log_group(logGroupName=group["logGroupName"])

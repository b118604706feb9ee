"""Starts and stops the stand-in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from moto.utilities.utils import get_partition

from tests.standins.aws.clock import NONE, Clock, Durations
from tests.standins.aws.cloud import ACCOUNT, Caller, Cloud, new_caller
from tests.standins.aws.cloudformation import api as cloudformation
from tests.standins.aws.ecs import api as ecs
from tests.standins.aws.faults import Faults
from tests.standins.aws.http.dispatcher import Dispatcher
from tests.standins.aws.http.server import Server
from tests.standins.aws.inventory import InventoryItem, inventory
from tests.standins.aws.journal import Journal
from tests.standins.aws.services import (
    bedrock,
    ec2,
    ecr,
    iam,
    kvs,
    logs,
    quotas,
    secrets_manager,
    tagging,
    vpc_endpoints,
    vpc_origins,
    xray,
)
from tests.standins.aws.services.agentcore import api as agentcore
from tests.standins.aws.services.lambda_functions import api as lambda_functions
from tests.standins.aws.services.lambda_functions.containers import Start
from tests.standins.aws.services.load_balancing import api as load_balancers
from tests.standins.aws.services.load_balancing.traffic import Traffic

_HANDLERS = (
    agentcore.HANDLERS
    | kvs.HANDLERS
    | quotas.HANDLERS
    | cloudformation.HANDLERS
    | ec2.HANDLERS
    | vpc_endpoints.HANDLERS
    | lambda_functions.HANDLERS
    | iam.HANDLERS
    | ecr.HANDLERS
    | logs.HANDLERS
    | bedrock.HANDLERS
    | xray.HANDLERS
    | tagging.HANDLERS
    | load_balancers.HANDLERS
    | vpc_origins.HANDLERS
    | ecs.HANDLERS
    | secrets_manager.HANDLERS
)


@dataclass(frozen=True)
class Aws:
    """A running stand-in: its address, journal, inventory, clock and faults."""

    url: str
    caller: Caller
    region: str
    cloud: Cloud
    data_plane: str | None = None

    @property
    def clock(self) -> Clock:
        return self.cloud.clock

    @property
    def traffic(self) -> Traffic | None:
        """Traffic through load balancers and CloudFront; None without `containers`."""
        return self.cloud.state.get(("traffic",))

    @property
    def journal(self) -> Journal:
        return self.cloud.journal

    @property
    def faults(self) -> Faults:
        return self.cloud.faults

    def inventory(self) -> frozenset[InventoryItem]:
        """Return everything that exists, to compare before and after."""
        return inventory(self.cloud)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a program uses this stand-in as AWS."""
        data_plane = {"AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": self.data_plane or self.url}
        return data_plane | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Live Tail would be at stream-127.0.0.1, which does not exist.
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            **({"SSL_CERT_FILE": str(self.traffic.trust)} if self.traffic else {}),
            **self.caller.environment(),
        }

    def client(
        self, service: str, region: str | None = None, caller: Caller | None = None, **more: Any
    ) -> Any:
        """Return a boto3 client of this stand-in, over HTTP."""
        caller = caller or self.caller
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        settings = {
            "endpoint_url": self.url,
            "region_name": region or self.region,
            "aws_access_key_id": caller.access_key_id,
            "aws_secret_access_key": caller.secret_access_key,
            "aws_session_token": caller.session_token,
            "config": config,
        }
        return boto3.client(service, **(settings | more))

    def new_caller(
        self,
        account: str = ACCOUNT,
        temporary: bool = True,
        policies: Sequence[Mapping[str, Any]] | None = None,
        boundary: Sequence[Mapping[str, Any]] | None = None,
    ) -> Caller:
        """Return credentials of another identity, or of another account.

        With `policies`, statements in IAM's JSON, it may do only what they allow, and with a
        `boundary` only what both allow.
        """
        made = new_caller(account, temporary=temporary, partition=self.caller.partition)
        self.cloud.callers[made.access_key_id] = made
        if policies is not None:
            self.cloud.policies[made.access_key_id] = policies
        if boundary is not None:
            self.cloud.boundaries[made.access_key_id] = boundary
        return made

    def organize(
        self, *denials: Mapping[str, Any], tags: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Set service control policies, by their statements, and a tag policy: values by key."""
        self.cloud.control_policies[:] = denials
        self.cloud.tag_policy = {key: list(values) for key, values in (tags or {}).items()}

    def agent_says(
        self,
        runtime_id: str,
        *messages: str,
        session: str | None = None,
        endpoint: str = "DEFAULT",
        at: datetime | None = None,
    ) -> str:
        """Log lines as an agent's stdout does, and return the log group, created if necessary.

        With a session, the stream's name contains it, as for newer containers.
        """
        when = at or self.clock.now()
        group = f"/aws/bedrock-agentcore/runtimes/{runtime_id}-{endpoint}"
        about = f"runtime-logs-{session}" if session else "runtime-logs"
        known: dict[str, str] = self.cloud.setdefault(dict, "log streams")
        start = f"{when:%Y/%m/%d}/[{about}]"
        stream = known.setdefault(f"{group} {start}", f"{start}{uuid.uuid4()}")
        account = self.caller.account
        logs.write_lines(self.cloud, account, self.region, group, stream, messages, when)
        return group

    def warm(self) -> None:
        """Load now what the first calls would load, so that they can be timed."""
        for service in ("ec2", "iam", "ecr", "logs", "secretsmanager", "kinesisvideo"):
            self.cloud.client(service, self.region, self.caller, "cloudformation")
        self.client("ec2").describe_vpcs()

    def old_metadata_service(self) -> None:
        """Create runtimes with requireMMDSV2 off from now on, as before the summer of 2026."""
        self.cloud.state["old metadata service",] = True

    def set_quota(self, service: str, code: str, value: float) -> None:
        quotas.set_quota(self.cloud, service, code, value)


@contextmanager
def aws_standin(
    *,
    durations: Durations = NONE,
    time_scale: float = 1.0,
    region: str = "us-east-1",
    account: str = ACCOUNT,
    echo: bool = False,
    registry: ecr.Registry | None = None,
    turn: kvs.Turn | None = None,
    data_plane: str | None = None,
    containers: Start | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[Aws]:
    """Run the stand-in in threads of this process; one at a time, because moto's state is global.

    With `time_scale` 10 its clock runs ten times as fast. Without a `registry`, only PutImage
    creates images. `data_plane` is the URL that answers InvokeAgentRuntime and /ws (a local
    AgentCore Runtime); without it they have no answer. `containers` starts the processes of Lambda
    functions and of ECS tasks (an empty command is the image's own); without it they cannot be
    called, and tasks are only counted, by moto. Raises AssertionError at the end if the stand-in
    itself had an error.
    """
    caller = new_caller(account, partition=get_partition(region))
    cloud = Cloud(durations, Clock(time_scale), Journal(echo))
    cloud.callers[caller.access_key_id] = caller
    front = Dispatcher(cloud, _HANDLERS)
    server = Server(lambda request: front.handle(request, "client"), port, host)
    cloud.setdefault(dict, "addresses")["url"] = server.url
    if registry is not None:
        cloud.state["registry",] = registry
    if turn is not None:
        cloud.state["turn",] = turn
    traffic = Traffic(cloud) if containers is not None else None
    if traffic is not None:
        cloud.state["containers",] = containers
        cloud.state["traffic",] = traffic
    serving = cloud.start(lambda: server.serve_forever(0.02), "stand-in")
    try:
        yield Aws(server.url, caller, region, cloud, data_plane)
    finally:
        lambda_functions.close(cloud)
        cloud.clock.stop()
        server.shutdown()
        server.server_close()
        serving.join(5)
        for thread in cloud.threads:
            thread.join(5)
        if traffic is not None:
            traffic.stop()
    if cloud.bugs:
        raise AssertionError(f"the stand-in failed: {cloud.bugs}") from cloud.bugs[0]

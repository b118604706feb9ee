"""Owns the functions of a region."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.lambda_functions.containers import ContainerPool
from tests.standins.aws.timed_state import TimedState
from tests.standins.models.refusal import Refused


@dataclass
class Function:
    """A function and its URL."""

    name: str
    arn: str
    settings: dict[str, Any]
    image: str
    architecture: str
    state: TimedState
    modified: str
    pool: ContainerPool
    tags: dict[str, str]
    policy: dict[str, dict[str, Any]] = field(default_factory=dict)
    reserved: int | None = None
    url: FunctionUrl | None = None

    @property
    def log_group(self) -> str:
        return self.settings.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{self.name}"


@dataclass
class FunctionUrl:
    """The URL of a function."""

    id: str
    auth: str
    created: str
    server: Server

    @property
    def address(self) -> str:
        # At least 40 characters, as in AWS; a port may start with zeros (RFC 3986, 3.2.3).
        host, _, port = self.server.url.rpartition(":")
        return f"{host}:{port:0>{40 - len(host) - 2}}/"


def functions_of(cloud: Cloud, call: Call) -> dict[str, Function]:
    return cloud.setdefault(dict, "functions", *call.account_region)


def get_function(cloud: Cloud, call: Call) -> Function:
    functions = functions_of(cloud, call)
    name = call.params["FunctionName"].rpartition(":")[2]
    if name not in functions:
        arn = f"arn:{call.partition}:lambda:{call.region}:{call.account}:function:{name}"
        raise Refused("ResourceNotFoundException", f"Function not found: {arn}", 404)
    return functions[name]

"""Owns what a region has: runtimes, versions, endpoints and network interfaces."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from tests.standins.aws.cloud import Caller
from tests.standins.aws.services.zones import SUPPORTED
from tests.standins.aws.timed_state import TimedState

SERVICE = "bedrock-agentcore-control"
DATA = "bedrock-agentcore"
REGIONS = frozenset(SUPPORTED)
DEFAULT = "DEFAULT"


@dataclass
class Endpoint:
    name: str
    id: str
    target: str
    created: Any
    updated: Any
    state: TimedState
    live: str = ""
    description: str | None = None


@dataclass
class Runtime:
    id: str
    name: str
    arn: str
    created: Any
    caller: Caller
    region: str
    state: TimedState
    versions: list[dict[str, Any]] = field(default_factory=list)
    updated: list[Any] = field(default_factory=list)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return str(len(self.versions))


@dataclass
class RegionState:
    """AgentCore of one account in one region."""

    runtimes: dict[str, Runtime] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    sessions: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    interfaces: dict[tuple[str, frozenset[str]], list[str]] = field(default_factory=dict)


def new_id(name: str) -> str:
    letters = string.ascii_letters + string.digits
    return f"{name}-{''.join(secrets.choice(letters) for _ in range(10))}"


def endpoint_arn(runtime: Runtime, endpoint: Endpoint) -> str:
    return f"{runtime.arn}/runtime-endpoint/{endpoint.name}"

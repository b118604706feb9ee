"""Owns VPC endpoints: by which ones an agent reaches AWS without a way to the internet."""

from __future__ import annotations

from collections.abc import Iterable

from voicecore.catalog.pipelines.record import Service
from voicecore.catalog.transports.record import Transport

S3 = "s3"
"""Gateway endpoint, by which AgentCore gets the layers of an image; it is free."""

RUNTIME = ("ecr.api", "ecr.dkr", "logs")
"""Interface endpoints that AgentCore needs for every agent (agentcore-vpc)."""

SECRETS = "secretsmanager"
"""Interface endpoint by which an agent reads its secret."""

TRACES = ("monitoring", "xray")
"""Interface endpoints to which an agent sends its traces."""


def service_name(region: str, endpoint: str) -> str:
    """Return the name by which AWS offers an endpoint in a region."""
    return f"com.amazonaws.{region}.{endpoint}"


def internet_needs(services: Iterable[Service], transports: Iterable[Transport]) -> list[str]:
    """Return what an agent with these reaches only on the internet: no endpoint leads to it."""
    return [
        *(service.title for service in services if not service.endpoint),
        *(transport.internet for transport in transports if transport.internet),
    ]

"""Owns the settings of the network of deployed agents, and what is wrong with given values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from voicecore.catalog.transports.record import Transport
from voicecore.project.invalid_setting import InvalidSetting, unknown, unknown_keys

PUBLIC = "public"
VPC = "vpc"

# AgentCore API Reference, VpcConfig: up to 16 of each.
_VPC_LISTS = {
    "subnets": re.compile(r"subnet-[0-9a-z]{8,17}"),
    "security_groups": re.compile(r"sg-[0-9a-z]{8,17}"),
}
_VPC_LIST_MAX = 16


def invalid_network(
    answers: dict[str, Any], transports: Sequence[Transport]
) -> Iterator[InvalidSetting]:
    """Yield what is wrong with `network` and [vpc], for these transports."""
    network, vpc = answers.get("network"), answers.get("vpc", {})
    if network is not None and network not in (VPC, PUBLIC):
        yield unknown("network", network, (VPC, PUBLIC))
    if network == PUBLIC:
        for transport in transports:
            if transport.not_public:
                yield InvalidSetting(
                    "network", f"{PUBLIC!r} cannot carry {transport.name!r}: {transport.not_public}"
                )
        if vpc:
            yield InvalidSetting("vpc", f'is used only with network = "{VPC}"')
    if not isinstance(vpc, dict):
        yield InvalidSetting("vpc", "must be a table")
        return
    yield from _invalid_vpc(cast("dict[str, Any]", vpc))


def _invalid_vpc(vpc: dict[str, Any]) -> Iterator[InvalidSetting]:
    yield from unknown_keys("vpc.", vpc, (*_VPC_LISTS, "ha"))
    for key, pattern in _VPC_LISTS.items():
        if key in vpc:
            yield from _invalid_ids(f"vpc.{key}", vpc[key], pattern)
    for key, other in (("subnets", "security_groups"), ("security_groups", "subnets")):
        if vpc.get(key) and not vpc.get(other):
            yield InvalidSetting(f"vpc.{key}", f"needs {other} too, in the same VPC")
    if not isinstance(vpc.get("ha", False), bool):
        yield InvalidSetting("vpc.ha", "must be true or false")
    elif vpc.get("ha") and vpc.get("subnets"):
        yield InvalidSetting(
            "vpc.ha", "applies only to a network that voicecore creates, not to your own subnets"
        )


def _invalid_ids(key: str, value: object, pattern: re.Pattern[str]) -> Iterator[InvalidSetting]:
    ids = cast("list[object]", value)
    if not isinstance(value, list) or not 1 <= len(ids) <= _VPC_LIST_MAX:
        yield InvalidSetting(key, f"must be a list of 1 to {_VPC_LIST_MAX} IDs")
        return
    for item in ids:
        if not isinstance(item, str) or not pattern.fullmatch(item):
            example = pattern.pattern.split("-")[0] + "-0123456789abcdef0"
            yield InvalidSetting(key, f"{item!r} is not an ID such as {example!r}")
    if len(set(map(str, ids))) < len(ids):
        yield InvalidSetting(key, "lists an ID twice")


def network_for(transports: Iterable[Transport], vpc: object) -> str:
    """Return the default network mode: PUBLIC, unless a transport or [vpc] needs a VPC.

    PUBLIC costs nothing between calls, and starts a session sooner. But it blocks UDP, so
    TURN has to use TLS, where a lost packet delays those behind it.
    """
    return VPC if vpc or any(t.not_public or t.turn for t in transports) else PUBLIC

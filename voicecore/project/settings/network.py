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
_OF_OURS = ("ha", "endpoints")
"""Switches of a network that voicecore creates."""


def invalid_network(
    answers: dict[str, Any], transports: Sequence[Transport], internet: Sequence[str] = ()
) -> Iterator[InvalidSetting]:
    """Yield what is wrong with `network` and [vpc], for these transports.

    `internet` lists what the agent reaches only on the internet.
    """
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
    own = cast("dict[str, Any]", vpc)
    yield from _invalid_vpc(own)
    if own.get("endpoints") is True and internet:
        yield InvalidSetting(
            "vpc.endpoints",
            f"leaves no way to the internet, which the agent needs for {', '.join(internet)}; "
            "for a NAT gateway, remove this setting",
        )


def _invalid_vpc(vpc: dict[str, Any]) -> Iterator[InvalidSetting]:
    yield from unknown_keys("vpc.", vpc, (*_VPC_LISTS, *_OF_OURS))
    for key, pattern in _VPC_LISTS.items():
        if key in vpc:
            yield from _invalid_ids(f"vpc.{key}", vpc[key], pattern)
    for key, other in (("subnets", "security_groups"), ("security_groups", "subnets")):
        if vpc.get(key) and not vpc.get(other):
            yield InvalidSetting(f"vpc.{key}", f"needs {other} too, in the same VPC")
    for key in _OF_OURS:
        if not isinstance(vpc.get(key, False), bool):
            yield InvalidSetting(f"vpc.{key}", "must be true or false")
        elif vpc.get(key) and vpc.get("subnets"):
            yield InvalidSetting(
                f"vpc.{key}",
                "applies only to a network that voicecore creates, not to your own subnets",
            )
    if vpc.get("ha") is True and vpc.get("endpoints") is True:
        yield InvalidSetting("vpc.ha", "adds a NAT gateway, and endpoints = true allows none")


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

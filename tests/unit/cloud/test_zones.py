"""Availability zones: which two a network uses, and what is wrong with given subnets."""

import pytest

from voicecore.catalog import regions
from voicecore.cloud.stacks.zones import (
    SUPPORTED_ZONES,
    Subnet,
    TooFewZones,
    choose_zones,
    subnet_problems,
)


def zones_of(*ids: str) -> dict[str, str]:
    """Return an account's zones by name, in the given order."""
    return {f"us-east-1{letter}": zone for letter, zone in zip("abcdef", ids, strict=False)}


def test_every_agentcore_region_has_zones() -> None:
    assert set(SUPPORTED_ZONES) == set(regions.AGENTCORE)
    assert all(len(zones) >= 2 for zones in SUPPORTED_ZONES.values())


def test_zones_are_chosen_by_id() -> None:
    account = zones_of("use1-az3", "use1-az6", "use1-az4", "use1-az1", "use1-az2")
    assert choose_zones("us-east-1", account) == ("use1-az1", "use1-az2")
    assert choose_zones("us-east-1", zones_of("use1-az3", "use1-az4", "use1-az2")) == (
        "use1-az2",
        "use1-az4",
    )


def test_rejects_account_with_too_few_zones() -> None:
    with pytest.raises(TooFewZones, match=r"use1-az1, use1-az2, use1-az4 .* has use1-az4"):
        choose_zones("us-east-1", zones_of("use1-az3", "use1-az4"))


GOOD = (Subnet("subnet-1", "vpc-1", "use1-az1", "nat-1"),
        Subnet("subnet-2", "vpc-1", "use1-az2", "nat-1"))  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (Subnet("subnet-3", "vpc-1", "use1-az3", "nat-1"), "zone use1-az3, which AgentCore does"),
        (Subnet("subnet-3", "vpc-1", "use1-az4", "igw-1"), "subnet-3 is a public subnet"),
        (Subnet("subnet-3", "vpc-1", "use1-az4", ""), "subnet-3 has no route to the internet"),
        (Subnet("subnet-3", "vpc-2", "use1-az4", "nat-2"), "in different VPCs"),
    ],
)
def test_reports_unusable_subnet(bad: Subnet, problem: str) -> None:
    assert subnet_problems("us-east-1", GOOD) == []
    (found,) = subnet_problems("us-east-1", [*GOOD, bad])
    assert problem in found


def test_accepts_subnets_behind_a_transit_gateway() -> None:
    transit = [Subnet("subnet-1", "vpc-1", "use1-az1", "tgw-1")]
    assert subnet_problems("us-east-1", transit) == []

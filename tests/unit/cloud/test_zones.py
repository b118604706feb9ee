"""Availability zones: which two a network uses."""

import pytest

from voicecore.catalog import regions
from voicecore.cloud.stacks.zones import (
    SUPPORTED_ZONES,
    TooFewZones,
    choose_zones,
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

"""Owns the availability zones that AgentCore supports, and the choice of two for a network."""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.console.errors import ExitCode, VoicecoreError

# AgentCore Developer Guide, agentcore-vpc. Zone names differ between accounts, IDs do not.
_PREFIXES = {
    "us-east-1": "use1", "us-east-2": "use2", "us-west-1": "usw1", "us-west-2": "usw2",
    "ca-central-1": "cac1", "sa-east-1": "sae1", "ap-northeast-1": "apne1",
    "ap-northeast-2": "apne2", "ap-southeast-1": "apse1", "ap-southeast-2": "apse2",
    "ap-southeast-5": "apse5", "ap-southeast-7": "apse7", "ap-south-1": "aps1",
    "ap-south-2": "aps2", "eu-west-1": "euw1", "eu-west-2": "euw2", "eu-west-3": "euw3",
    "eu-south-1": "eus1", "eu-south-2": "eus2", "eu-north-1": "eun1", "eu-central-1": "euc1",
    "us-gov-west-1": "usgw1",
}  # fmt: skip
_NUMBERS = {
    "us-east-1": (1, 2, 4),
    "us-west-1": (1, 3),
    "ca-central-1": (1, 2, 4),
    "ap-northeast-1": (1, 2, 4),
}
"""Numbers of the supported zones; 1 to 3 for regions that are not listed."""

SUPPORTED_ZONES = {
    region: tuple(f"{prefix}-az{n}" for n in _NUMBERS.get(region, (1, 2, 3)))
    for region, prefix in _PREFIXES.items()
}
"""IDs of the zones that AgentCore supports, by region."""

ZONES_PER_NETWORK = 2
"""Zones of a network: AWS's advice for VPC mode (agentcore-vpc)."""


class TooFewZones(VoicecoreError):
    """The account has too few of the zones that AgentCore supports."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint, ExitCode.AWS_REFUSED)


def choose_zones(region: str, zones: Mapping[str, str]) -> tuple[str, ...]:
    """Return the IDs of the zones for a new network, from the account's zones (name to ID).

    The choice is always the same for an account. Raises TooFewZones.
    """
    available = set(zones.values())
    usable = [zone for zone in SUPPORTED_ZONES[region] if zone in available]
    if len(usable) < ZONES_PER_NETWORK:
        raise TooFewZones(
            f"AgentCore needs {ZONES_PER_NETWORK} of the zones "
            f"{', '.join(SUPPORTED_ZONES[region])} in {region}; "
            f"this account has {', '.join(usable) or 'none of them'}.",
            "Choose another region in voicecore.toml.",
        )
    return tuple(usable[:ZONES_PER_NETWORK])

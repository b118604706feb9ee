"""Owns AgentCore Runtime's platforms: their limits, and which regions have the newer one.

V1 boots an agent for each session. V2 boots it once per version, takes a snapshot after the first
healthy /ping, and restores each session from it (Developer Guide, runtime-v2-optimize).
"""

from __future__ import annotations

V1, V2 = "v1", "v2"

PLATFORMS = (V1, V2)

DEFAULT = V1
"""Platform of a project that sets none: that of all projects before the setting existed."""

VARIABLE = "AGENTCORE_PLATFORM"
"""Variable of an agent's environment that names its platform. An agent without it runs on V1."""

ENVIRONMENT_BYTES = {V1: 4096, V2: 2560}
"""Bytes of all variables of a container (runtime-troubleshooting; runtime-v2-optimize)."""

# Region to the source that names it, and its date. AWS has published no complete list.
_GUIDE = "AgentCore Developer Guide, runtime-how-it-works, 2026-09"
V2_REGIONS = {
    "us-east-1": _GUIDE,
    "us-east-2": _GUIDE,
    "us-west-2": _GUIDE,
    "eu-west-1": _GUIDE,
    "ap-northeast-1": _GUIDE,
    "eu-central-1": "dev.to/sascha-ms, agentcore-runtime-v2-avoid-snapshot-pitfalls, 2026-11-12",
}


def platform_for(region: str) -> str:
    """Return the platform of a new project in `region`: V2 where it is known to exist."""
    return V2 if region in V2_REGIONS else V1

"""Owns the table of Bedrock models: ID, regions, inference profiles and end of life.

Their prices are in cloud/deploy/prices.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from voicecore.catalog import regions


@dataclass(frozen=True)
class Model:
    """A model of Amazon Bedrock, as its page described it on the date `read`."""

    id: str
    regions: tuple[str, ...]
    source: str
    read: date
    ends: date | None = None
    """Day on which AWS stops it; None if none is announced."""
    by_profile: bool = False
    """True for a model that is called through an inference profile only."""
    bidirectional: bool = False
    """True for a model that listens and speaks over one stream."""

    def name_in(self, region: str) -> str:
        """Return the ID by which an agent in `region` calls it."""
        return regions.inference_profile_for(region, self.id) if self.by_profile else self.id


# Pipecat 1.14's AWSNovaSonicLLMService names the regions; there are no inference profiles.
_NOVA_SONIC = ("us-east-1", "us-west-2", "eu-north-1", "ap-northeast-1")

NOVA_2_5_SONIC = Model(
    "amazon.nova-2-5-sonic",
    _NOVA_SONIC,
    source="Pipecat 1.14, AWSNovaSonicLLMService",
    read=date(2026, 11, 29),
    bidirectional=True,
)
NOVA_2_SONIC = Model(
    "amazon.nova-2-sonic-v1:0",
    _NOVA_SONIC,
    source="Bedrock model card of Nova 2 Sonic",
    read=date(2026, 11, 29),
    bidirectional=True,
)
NOVA_2_LITE = Model(
    "amazon.nova-2-lite-v1:0",
    # No page names Nova 2 Lite in GovCloud; preflight asks Bedrock for the profile.
    regions.AGENTCORE,
    source="Amazon Nova 2 User Guide, model availability",
    read=date(2026, 11, 29),
    by_profile=True,
)

MODELS = (NOVA_2_5_SONIC, NOVA_2_SONIC, NOVA_2_LITE)

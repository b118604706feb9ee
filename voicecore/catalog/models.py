"""Owns the Bedrock models: a table with regions and end of life, and those that users name by ID.

Their prices are in cloud/deploy/prices.toml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from voicecore.catalog import regions


@dataclass(frozen=True)
class Model:
    """A model of Amazon Bedrock, as its page described it on the date `read`."""

    id: str
    regions: tuple[str, ...]
    source: str = ""
    read: date | None = None
    ends: date | None = None
    """Day on which AWS stops it; None if none is announced."""
    by_profile: bool = False
    """True for a model that is called through an inference profile only."""
    profile: str = ""
    """The inference profile that the user named; empty for the one of the agent's geography."""
    bidirectional: bool = False
    """True for a model that listens and speaks over one stream."""

    def name_in(self, region: str) -> str:
        """Return the ID by which an agent in `region` calls it."""
        if not self.by_profile:
            return self.id
        return self.profile or regions.inference_profile_for(region, self.id)


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

# A part of what Converse allows as modelId; models of one's own and prompts have ARNs.
_TEXT_MODEL = re.compile(
    rf"(?:(?P<profile>{'|'.join(regions.PROFILES)})\.)?"
    r"(?P<id>[a-z0-9]{1,63}\.[a-z][a-z0-9.-]{2,126}(:[a-z0-9-]{1,63}){0,2})"
)


def text_model(name: str) -> Model | None:
    """Return the model that `name` can be the ID or the inference profile of; None if neither.

    Only Bedrock knows whether there is one.
    """
    match = _TEXT_MODEL.fullmatch(name)
    if match is None:
        return None
    listed = next((model for model in MODELS if model.id == match["id"]), None)
    if listed and (listed.bidirectional or not match["profile"]):
        return None if listed.bidirectional else listed
    if match["profile"] is None:
        return Model(match["id"], regions.AGENTCORE)
    offered = regions.PROFILES[match["profile"]]
    return Model(match["id"], offered, by_profile=True, profile=name)

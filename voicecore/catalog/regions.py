"""Owns the AWS regions: which of them offer each service that a voice agent uses."""

from __future__ import annotations

from difflib import SequenceMatcher

# Amazon Bedrock AgentCore Developer Guide, agentcore-regions, autumn 2026.
AGENTCORE = (
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
    "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1",
    "eu-south-2", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2",
    "ap-southeast-5", "ap-southeast-7", "ap-south-1", "ap-south-2", "us-gov-west-1",
)  # fmt: skip

# AWS General Reference, transcribe (streaming) and pol; AgentCore's regions only.
TRANSCRIBE_STREAMING = tuple(
    region
    for region in AGENTCORE
    if region
    not in ("us-west-1", "eu-west-3", "eu-north-1", "eu-south-1", "eu-south-2", "ap-south-2")
)
POLLY = tuple(region for region in AGENTCORE if region not in ("eu-south-1", "ap-south-2"))

# Kinesis Video Streams availability page (WebRTC); AgentCore's regions only.
KVS = tuple(
    region
    for region in AGENTCORE
    if region
    not in (
        "us-west-1", "eu-south-1", "eu-north-1", "ap-south-2", "ap-southeast-7", "us-gov-west-1",
    )
)  # fmt: skip

# AgentCore's regions where CloudFormation has AWS::Lambda::Url (its published schemas), except
# eu-south-2, which the Lambda Developer Guide excludes (lambda-urls, autumn 2026).
FUNCTION_URLS = tuple(
    region
    for region in AGENTCORE
    if region
    not in ("ap-south-2", "ap-southeast-5", "ap-southeast-7", "eu-south-2", "us-gov-west-1")
)

# "The environment type ARM_CONTAINER is available only in regions ..." (CodeBuild API Reference,
# CreateFleet, as botocore 1.44.8 has it, October 2026).
ARM_BUILDS = (
    "us-east-1", "us-east-2", "us-west-2", "sa-east-1", "eu-central-1", "eu-west-1",
    "ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "ap-south-1",
)  # fmt: skip

# CloudFront serves every region of the partition "aws"; GovCloud has none.
CLOUDFRONT = tuple(region for region in AGENTCORE if not region.startswith("us-gov-"))

# CloudFormation has AWS::CloudFront::VpcOrigin everywhere; whether AWS's two newest regions have
# VPC origins is not proven.
VPC_ORIGINS = tuple(
    region for region in CLOUDFRONT if region not in ("ap-southeast-5", "ap-southeast-7")
)

# Nova 2 Lite is available through inference profiles only; these regions have no geographic one
# (Amazon Nova 2 User Guide, model availability).
_GLOBAL_PROFILE_ONLY = ("eu-west-2", "ap-south-1", "ap-south-2", "sa-east-1")

_GOVCLOUD = tuple(region for region in AGENTCORE if region.startswith("us-gov-"))


def _starting(*prefixes: str) -> tuple[str, ...]:
    return tuple(r for r in AGENTCORE if r.startswith(prefixes) and r not in _GOVCLOUD)


# Bedrock User Guide, inference-profiles-support: the regions that may call by each prefix.
PROFILES = {
    "us": _starting("us-", "ca-"),
    "eu": _starting("eu-"),
    "jp": _starting("ap-northeast-1"),
    "au": _starting("ap-southeast-2"),
    "apac": _starting("ap-"),
    "us-gov": _GOVCLOUD,
    "global": _starting(""),
}
"""Prefixes of inference profiles, with the regions of AgentCore in their geography."""

DEFAULT = "us-east-1"


def inference_profile_for(region: str, model: str) -> str:
    """Return the cross-region inference profile of `model` for a runtime in `region`.

    Bedrock rejects the prefix of another geography with "model identifier is invalid".
    """
    if region in _GLOBAL_PROFILE_ONLY or region.startswith("ap-southeast"):
        prefix = "global"
    elif region.startswith("us-gov-"):
        prefix = "us-gov"
    elif region.startswith(("us-", "ca-")):
        prefix = "us"
    elif region.startswith("eu-"):
        prefix = "eu"
    elif region == "ap-northeast-1":
        prefix = "jp"
    else:
        prefix = "global"
    return f"{prefix}.{model}"


def partition_of(region: str) -> str:
    """Return the first part of ARNs in a region: aws, or aws-us-gov in GovCloud."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def console_host(region: str) -> str:
    """Return the host of AWS's console for a region."""
    gov = partition_of(region) != "aws"
    return "console.amazonaws-us-gov.com" if gov else f"{region}.console.aws.amazon.com"


def closest(word: str, choices: tuple[str, ...]) -> str | None:
    """Return the choice most like `word`, the first of equals; None if none is close."""

    def likeness(choice: str) -> float:
        return SequenceMatcher(None, word.lower(), choice).ratio()

    best = max(choices, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.6 else None

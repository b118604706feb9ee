"""Owns Bedrock's models: which exist in a region, and whether the account has access."""

from __future__ import annotations

import re
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused

# Regions of a model by Bedrock's model cards; None: every region but GovCloud, for which no page
# names them.
_MODELS: dict[str, tuple[str, ...] | None] = {
    "amazon.nova-2-5-sonic": ("us-east-1", "us-west-2", "eu-north-1", "ap-northeast-1"),
    "amazon.nova-2-sonic-v1:0": ("us-east-1", "us-west-2", "eu-north-1", "ap-northeast-1"),
    "amazon.nova-2-lite-v1:0": None,
    "amazon.nova-lite-v1:0": None,
    "amazon.nova-micro-v1:0": None,
    "amazon.nova-pro-v1:0": None,
    "anthropic.claude-haiku-4-5-20251001-v1:0": None,
    "amazon.titan-embed-text-v2:0": None,
}
_BY_PROFILE_ONLY = ("amazon.nova-2-lite-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0")
_VERSION = re.compile(r"(-\d{8})?-v\d.*")
_PROFILES = ("us", "eu", "jp", "apac", "global")


def _is_in(model: str, region: str) -> bool:
    regions = _MODELS[model]
    return not region.startswith("us-gov-") if regions is None else region in regions


def availability(cloud: Cloud, call: Call) -> dict[str, Any]:
    model = call.params["modelId"]
    if model not in _MODELS:
        raise Refused("ResourceNotFoundException", f"Model {model} could not be found.", 404)
    here = _is_in(model, call.region)
    granted = not cloud.faults.denies_model(model)
    return {
        "modelId": model,
        "agreementAvailability": {"status": "AVAILABLE" if granted else "NOT_AVAILABLE"},
        "authorizationStatus": "AUTHORIZED" if granted else "NOT_AUTHORIZED",
        "entitlementAvailability": "AVAILABLE" if granted else "NOT_AVAILABLE",
        "regionAvailability": "AVAILABLE" if here else "NOT_AVAILABLE",
    }


def list_models(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {
        "modelSummaries": [
            _summary(cloud, call, model) for model in _MODELS if _is_in(model, call.region)
        ]
    }


def get_model(cloud: Cloud, call: Call) -> dict[str, Any]:
    model = call.params["modelIdentifier"]
    if model not in _MODELS or not _is_in(model, call.region):
        raise Refused("ValidationException", "The provided model identifier is invalid.", 400)
    return {"modelDetails": _summary(cloud, call, model)}


def _model_arn(call: Call, model: str) -> str:
    return f"arn:{call.partition}:bedrock:{call.region}::foundation-model/{model}"


def _summary(cloud: Cloud, call: Call, model: str) -> dict[str, Any]:
    return {
        "modelArn": _model_arn(call, model),
        "modelId": model,
        "modelName": _VERSION.sub("", model.partition(".")[2]).replace("-", " ").title(),
        "providerName": model.partition(".")[0].title(),
        "outputModalities": ["EMBEDDING" if "embed" in model else "TEXT"],
        "responseStreamingSupported": "embed" not in model,
        "inferenceTypesSupported": [] if model in _BY_PROFILE_ONLY else ["ON_DEMAND"],
        "modelLifecycle": cloud.faults.lifecycle_of(model),
    }


def get_profile(cloud: Cloud, call: Call) -> dict[str, Any]:
    profile = call.params["inferenceProfileIdentifier"].rpartition("/")[2]
    prefix, _, model = profile.partition(".")
    if prefix not in _PROFILES or model not in _MODELS:
        raise Refused("ResourceNotFoundException", "The provided model identifier is invalid.", 404)
    return {
        "inferenceProfileName": f"{prefix} {model.partition(':')[0].replace('.', ' ')}",
        "inferenceProfileArn": (
            f"arn:{call.partition}:bedrock:{call.region}:{call.account}:inference-profile/{profile}"
        ),
        "inferenceProfileId": profile,
        "models": [{"modelArn": _model_arn(call, model)}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


HANDLERS = {
    ("bedrock", "GetFoundationModelAvailability"): availability,
    ("bedrock", "ListFoundationModels"): list_models,
    ("bedrock", "GetFoundationModel"): get_model,
    ("bedrock", "GetInferenceProfile"): get_profile,
}

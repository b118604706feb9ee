"""Owns the preflight checks of Bedrock models: access, inference profile, end of life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.catalog.models import Model
from voicecore.catalog.pipelines.record import Pipeline, Service
from voicecore.catalog.regions import console_host, inference_profile_for
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult, PreflightCheck
from voicecore.cloud.stacks.deployment import Deployment

SOON = timedelta(days=180)
"""Time before a model's end from which on it is warned of: enough to try its successor."""


def model_checks(aws: Aws, deployment: Deployment) -> list[PreflightCheck]:
    """Return the checks of the models that the agent calls."""
    checks: list[PreflightCheck] = []
    for service in deployment.uses:
        if model := service.model:
            checks.append(("models", partial(_check_access, aws, model)))
            if model.by_profile:
                checks.append(("models", partial(_check_profile, aws, model)))
            checks.append(("models", partial(_check_details, aws, deployment.pipeline, service)))
    return checks


def access_result(model: str, region: str, availability: Mapping[str, Any]) -> CheckResult:
    """Return whether the account may call the model here (GetFoundationModelAvailability)."""
    check = f"model {model}"
    if availability.get("regionAvailability") == "NOT_AVAILABLE":
        return CheckResult(
            check,
            CheckOutcome.FAILED,
            f"Bedrock does not offer it in {region}",
            "Choose another region in voicecore.toml.",
        )
    denied = (
        availability.get("authorizationStatus") == "NOT_AUTHORIZED"
        or availability.get("entitlementAvailability") == "NOT_AVAILABLE"
    )
    if denied:
        return CheckResult(
            check,
            CheckOutcome.FAILED,
            "this account has no access to it",
            "Request access in the Bedrock console: "
            f"https://{console_host(region)}/bedrock/home?region={region}#/modelaccess",
        )
    return CheckResult(check, CheckOutcome.PASSED, "available to this account")


def use_results(model: Model, told: Mapping[str, Any], region: str) -> Iterator[CheckResult]:
    """Yield a failure for a text model that an agent in `region` cannot call as it would.

    `told` is what GetFoundationModel has of it. An agent streams text, and calls a model without
    an inference profile on demand.
    """
    other = "Choose another model in voicecore.toml, under [services]."
    if "TEXT" not in told.get("outputModalities", ["TEXT"]):
        problem, fix = "it does not write text", other
    elif not told.get("responseStreamingSupported", True):
        problem, fix = "it does not stream its answers", other
    elif not model.by_profile and "ON_DEMAND" not in told.get(
        "inferenceTypesSupported", ["ON_DEMAND"]
    ):
        profile = inference_profile_for(region, model.id)
        problem = "Bedrock offers it through inference profiles only"
        fix = f'In voicecore.toml, set under [services]:  llm = "{profile}"'
    else:
        return
    yield CheckResult(f"model {model.id}", CheckOutcome.FAILED, problem, fix)


def lifecycle_results(
    pipeline: Pipeline, service: Service, told: Mapping[str, Any], today: date
) -> Iterator[CheckResult]:
    """Yield a warning for a model that AWS calls Legacy or ends soon, a failure for one that ended.

    `told` is the modelLifecycle of GetFoundationModel; where it names no end, the date of our
    table counts, which AWS may have moved since, so it never fails a deploy.
    """
    model = service.model
    if model is None:
        return
    told_end: datetime | None = told.get("endOfLifeTime")
    ends = told_end.astimezone(UTC).date() if told_end else model.ends
    ended = ends is not None and ends <= today
    soon = ends is not None and ends - today <= SOON
    legacy = told.get("status") == "LEGACY"
    if not (legacy or soon):
        return
    parts = ["AWS calls it Legacy"] if legacy else []
    if ends:
        parts.append(f"AWS {'ended' if ended else 'ends'} it on {ends}")
    instead = _replacement(pipeline, service)
    outcome = CheckOutcome.FAILED if ended and told_end else CheckOutcome.UNKNOWN
    why = ", and ".join(parts)
    message = why if outcome is CheckOutcome.FAILED else f"{why}. {instead}"
    yield CheckResult(f"model {model.id}", outcome, message, instead)


def _replacement(pipeline: Pipeline, service: Service) -> str:
    """Return how to change to the default service of the same stage."""
    stage, default = next(
        (stage, options[0])
        for stage, options in pipeline.stages.items()
        if pipeline.service(stage, service.name)
    )
    if default == service:
        return "A newer voicecore may offer its successor."
    return f'In voicecore.toml, set under [services]:  {stage} = "{default.name}"'


def _check_access(aws: Aws, model: Model) -> list[CheckResult]:
    with ignoring("ResourceNotFoundException", "ValidationException"):
        answer = aws.client("bedrock").get_foundation_model_availability(modelId=model.id)
        return [access_result(model.id, aws.region, answer)]
    return [
        CheckResult(
            f"model {model.id}",
            CheckOutcome.FAILED,
            "Bedrock knows no such model",
            "List them:  aws bedrock list-foundation-models "
            f"--region {aws.region} --query 'modelSummaries[].modelId'",
        )
    ]


def _check_profile(aws: Aws, model: Model) -> list[CheckResult]:
    profile = model.name_in(aws.region)
    with ignoring("ResourceNotFoundException", "ValidationException"):
        aws.client("bedrock").get_inference_profile(inferenceProfileIdentifier=profile)
        return []
    return [
        CheckResult(
            f"model {model.id}",
            CheckOutcome.FAILED,
            f"Bedrock has no inference profile {profile} in {aws.region}",
            "Choose another region, or another model under [services], in voicecore.toml.",
        )
    ]


def _check_details(aws: Aws, pipeline: Pipeline, service: Service) -> list[CheckResult]:
    told: dict[str, Any] = {}
    # Whether it may be called, the other checks say; an answer that is denied leaves the table.
    with ignoring("AccessDeniedException", "ResourceNotFoundException", "ValidationException"):
        model = service.model.id if service.model else ""
        told = aws.client("bedrock").get_foundation_model(modelIdentifier=model)["modelDetails"]
    lifecycle: dict[str, Any] = told.get("modelLifecycle") or {}
    results = list(lifecycle_results(pipeline, service, lifecycle, datetime.now(UTC).date()))
    if service.model and not service.model.bidirectional:
        results += use_results(service.model, told, aws.region)
    return results

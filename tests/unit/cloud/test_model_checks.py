"""Results of the checks of Bedrock models, from AWS's answers and from the table of models."""

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cloud.deployments import deployment
from voicecore.aws.login import AwsLogin
from voicecore.catalog.models import Model, text_model
from voicecore.catalog.pipelines import PIPELINES
from voicecore.cloud.deploy.prices import cost_per_minute
from voicecore.cloud.deploy.request import request_for
from voicecore.cloud.preflight import models
from voicecore.cloud.preflight.checks import CheckOutcome
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.project.project import Project, Stage

FAILED, PASSED, UNKNOWN = CheckOutcome.FAILED, CheckOutcome.PASSED, CheckOutcome.UNKNOWN
SONIC = PIPELINES["nova-sonic"]
DEFAULT, OLDER = SONIC.stages["speech_to_speech"]
TODAY = date(2026, 11, 30)

AVAILABLE = {
    "regionAvailability": "AVAILABLE",
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
}


@pytest.mark.parametrize(
    ("change", "outcome", "text"),
    [
        ({}, PASSED, "available"),
        ({"regionAvailability": "NOT_AVAILABLE"}, FAILED, "does not offer it in eu-west-1"),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, FAILED, "no access"),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, FAILED, "no access"),
    ],
)
def test_model_without_access_fails(
    change: dict[str, str], outcome: CheckOutcome, text: str
) -> None:
    result = models.access_result("amazon.nova-2-sonic-v1:0", "eu-west-1", AVAILABLE | change)
    assert result.outcome is outcome
    assert text in result.message


def ends(year: int, month: int, day: int) -> dict[str, Any]:
    return {"endOfLifeTime": datetime(year, month, day, tzinfo=UTC)}


LEGACY = {"status": "LEGACY"}
SOON = date(2027, 1, 31)


@pytest.mark.parametrize(
    ("told", "table", "outcome", "text"),
    [
        ({}, None, None, ""),
        ({"status": "ACTIVE"}, date(2028, 1, 1), None, ""),
        ({"status": "ACTIVE"} | ends(2028, 1, 1), SOON, None, ""),
        (LEGACY, None, UNKNOWN, "AWS calls it Legacy. In voicecore.toml, set"),
        (LEGACY | ends(2027, 3, 1), None, UNKNOWN, "Legacy, and AWS ends it on 2027-03-01"),
        ({}, SOON, UNKNOWN, "AWS ends it on 2027-01-31"),
        ({}, date(2026, 9, 14), UNKNOWN, "AWS ended it on 2026-09-14"),
        (LEGACY | ends(2026, 9, 14), None, FAILED, "AWS ended it on 2026-09-14"),
    ],
)
def test_model_near_its_end_is_reported_with_its_successor(
    told: dict[str, Any], table: date | None, outcome: CheckOutcome | None, text: str
) -> None:
    assert OLDER.model
    older = replace(OLDER, model=replace(OLDER.model, ends=table))
    pipeline = replace(SONIC, stages={"speech_to_speech": (DEFAULT, older)})
    results = list(models.lifecycle_results(pipeline, older, told, TODAY))
    assert [result.outcome for result in results] == ([outcome] if outcome else [])
    for result in results:
        assert text in result.message
        assert 'speech_to_speech = "nova-2-5-sonic"' in result.fix


def test_end_of_the_default_model_names_no_older_one() -> None:
    (result,) = models.lifecycle_results(SONIC, DEFAULT, LEGACY, TODAY)
    assert "newer voicecore" in result.fix


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(
    ("name", "told", "problem", "fix"),
    [
        (HAIKU, {"inferenceTypesSupported": []}, "through inference profiles", f'"us.{HAIKU}"'),
        (HAIKU, {"inferenceTypesSupported": ["ON_DEMAND"]}, "", ""),
        (f"us.{HAIKU}", {"inferenceTypesSupported": []}, "", ""),
        ("amazon.titan-embed", {"outputModalities": ["EMBEDDING"]}, "not write text", "another"),
        ("ai21.batch", {"responseStreamingSupported": False}, "does not stream", "another model"),
        ("meta.told-nothing", {}, "", ""),
    ],
)
def test_text_model_that_an_agent_cannot_call_fails(
    name: str, told: dict[str, Any], problem: str, fix: str
) -> None:
    model = text_model(name)
    assert model
    results = list(models.use_results(model, told, "us-east-1"))
    assert len(results) == bool(problem)
    for result in results:
        assert problem in result.message and fix in result.fix
        assert result.outcome is FAILED


ALL = [
    (pipeline.name, stage, service)
    for pipeline in PIPELINES.values()
    for stage, options in pipeline.stages.items()
    for service in options
    if service.model
]


@pytest.mark.parametrize(("pipeline", "stage", "service"), ALL)
def test_role_checks_and_price_know_every_model(pipeline: str, stage: str, service: Any) -> None:
    of = deployment(pipeline, services={stage: service.name})
    model: Model = service.model
    assert model.source and model.read
    aws = AwsLogin().open("us-east-1")
    checked = [each.args for _, each in models.model_checks(aws, of) if isinstance(each, partial)]
    assert any(model in args for args in checked)
    assert of.model_variables[f"{stage.upper()}_MODEL"] == model.name_in("us-east-1")
    assert {item.what: item.dollars for item in cost_per_minute(of)}[service.title]


@pytest.mark.parametrize(
    ("chosen", "code", "warned"),
    [
        ("nova-2-sonic", 'MODEL = "amazon.nova-2-sonic-v1:0"', False),
        ("nova-2-5-sonic", 'MODEL = "amazon.nova-2-sonic-v1:0"', True),
        ("nova-2-sonic", 'MODEL = getenv("SPEECH_TO_SPEECH_MODEL", "amazon.nova-x")', False),
        ("nova-2-sonic", 'MODEL = "amazon.nova-x"', True),
    ],
)
def test_agent_that_calls_another_model_than_its_role_allows_is_reported(
    tmp_path: Path, chosen: str, code: str, warned: bool
) -> None:
    (tmp_path / "agent/internal").mkdir(parents=True)
    (tmp_path / "agent/internal/nova_sonic.py").write_text(code)
    stage = Stage("dev", "us-east-1")
    services = {"speech_to_speech": chosen}
    project = Project(
        tmp_path, "x", ("websocket",), SONIC.name, stage.region, services, stages={"dev": stage}
    )
    request = request_for(project, deployment_of(project), False, "")
    assert ["SPEECH_TO_SPEECH_MODEL" in text for text in request.warnings] == [True] * warned

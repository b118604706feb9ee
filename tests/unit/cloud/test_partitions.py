"""Stages in GovCloud: every ARN has their partition, and nothing is promised that is not there."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import voicecore
from tests.unit.cloud.deployments import (
    DOMAIN,
    deployment,
    make_agent_stack,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
)
from voicecore.catalog import regions
from voicecore.cloud.deploy.export import policies_of
from voicecore.cloud.iam.statements import ArnScope, resolved
from voicecore.cloud.preflight.build import build_results
from voicecore.cloud.preflight.models import access_result
from voicecore.console.errors import VoicecoreError
from voicecore.project.project import Vpc

GOV = "us-gov-west-1"
EXAMPLE = re.compile("ACCOUNT|REGION|…")
"""Marks an example of an ARN in a help text."""


def test_no_code_names_a_partition() -> None:
    package = Path(voicecore.__file__).parent
    found = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        if "template" not in path.parts and "_templates" not in path.parts
        if "arn:aws" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\barn:aws(-us-gov)?:", node.value)
        and not EXAMPLE.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize("pipeline", ["offline", "cascade"])
def test_stacks_and_exported_policies_of_govcloud_name_no_other_partition(pipeline: str) -> None:
    of = deployment(pipeline, region=GOV, network="vpc", vpc=Vpc(("subnet-a",), ("sg-a",)))
    certificate = DOMAIN.certificate.replace("arn:aws:acm:us-east-1", f"arn:aws-us-gov:acm:{GOV}")
    domain = replace(DOMAIN, certificate=certificate)
    phone = phone_deployment(region=GOV, server=domain)
    bodies = [
        *(stack.body for stack in (make_agent_stack(of, KEY="x"), make_lambda_stack(of))),
        make_ecs_stack(phone).body,
        *policies_of(of).values(),
        *policies_of(phone, carries_calls=True).values(),
    ]
    assert not [text for body in bodies for text in re.findall(r"arn:aws:[^\"]*", body)]
    exported = json.dumps(policies_of(of))
    assert f"arn:aws-us-gov:cloudformation:{GOV}:" in exported


def test_model_without_access_in_govcloud_is_requested_in_its_console() -> None:
    denied = access_result("m", GOV, {"authorizationStatus": "NOT_AUTHORIZED"})
    assert "https://console.amazonaws-us-gov.com/bedrock/" in denied.fix


@dataclass(frozen=True)
class Image:
    """A planned image."""

    note: str = "docopt==0.6.2 has no wheel for arm64"
    uri: str = ""
    refusal: VoicecoreError | None = None


@pytest.mark.parametrize(
    ("region", "image", "fails"),
    [
        ("us-east-1", Image(), False),
        (GOV, Image(), True),
        ("eu-west-2", Image(), True),
        ("eu-west-2", Image(note=""), False),
        ("eu-west-2", Image(uri="there@sha256:0"), False),
        ("eu-west-2", Image(refusal=VoicecoreError("uv.lock is out of date")), False),
    ],
)
def test_image_that_must_be_compiled_is_refused_without_arm64_machines(
    region: str, image: Image, fails: bool
) -> None:
    results = list(build_results(region, image))
    assert bool(results) == fails
    for result in results:
        assert region in result.message and "us-east-1" in result.fix


def test_arm_builds_are_regions_of_agentcore() -> None:
    assert set(regions.ARM_BUILDS) <= set(regions.AGENTCORE)


def test_names_of_a_place_are_resolved_at_any_depth_of_a_template() -> None:
    arn = {"Fn::Sub": "arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:${AWS::URLSuffix}"}
    template = {"Statement": [{"Resource": [arn, "*"], "Condition": {"a": {"b": arn}}}]}
    text = "arn:aws-us-gov:x:us-gov-west-1:123456789012:amazonaws.com"
    assert resolved(template, ArnScope("aws-us-gov", "123456789012", GOV)) == {
        "Statement": [{"Resource": [text, "*"], "Condition": {"a": {"b": text}}}]
    }

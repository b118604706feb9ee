"""Fixtures and requests of the tests of the stand-in of AWS."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.exceptions import ConnectionError as NoConnection

from tests.standins.aws import NONE, Aws, Durations, aws_standin
from tests.standins.aws.example_stacks import (
    PULL,
    TRUST,
    Json,
    Stacks,
    agent,
    images,
    manifest,
    network,
    outputs,
)

NO_CONNECTION = (NoConnection, ConnectionClosedError)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as running:
        yield running


@pytest.fixture
def stacks(aws: Aws) -> Stacks:
    return Stacks(aws.client("cloudformation"))


def refused(call: Any, *args: Any, **params: Any) -> tuple[str, str]:
    """Return the code and message of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def with_durations(**seconds: float) -> Durations:
    return dataclasses.replace(NONE, **seconds)


def role_of(aws: Aws, policy: Json = PULL, name: str = "agent") -> str:
    iam = aws.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return made["Role"]["Arn"]


def image_of(aws: Aws, size: int = 12, repository: str = "voicecore/line") -> str:
    ecr = aws.client("ecr")
    if repository not in [r["repositoryName"] for r in ecr.describe_repositories()["repositories"]]:
        ecr.create_repository(repositoryName=repository)
    made = ecr.put_image(
        repositoryName=repository, imageManifest=manifest(size), imageTag=f"t{size}"
    )
    uri = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    return f"{uri['repositoryUri']}@{made['image']['imageId']['imageDigest']}"


def runtime_request(aws: Aws, name: str = "line_dev", **more: Any) -> Json:
    return {
        "agentRuntimeName": name,
        "agentRuntimeArtifact": {"containerConfiguration": {"containerUri": image_of(aws)}},
        "networkConfiguration": {"networkMode": "PUBLIC"},
        **more,
    }


def deploy_all(aws: Aws, stacks: Stacks) -> dict[str, str]:
    """Deploy three stacks, and return the parameters of the agent's."""
    uri = outputs(stacks.deploy("images", images()))["Uri"]
    net = outputs(stacks.deploy("network", network()))
    parameters = {"Image": image_of(aws), "Subnets": net["Subnets"], "Groups": net["Groups"]}
    assert parameters["Image"].startswith(f"{uri}@sha256:")
    made = stacks.deploy("agent", agent(), **parameters)
    assert made["StackStatus"] == "CREATE_COMPLETE", stacks.reasons("agent")
    return parameters

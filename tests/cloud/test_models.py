"""Bedrock is asked about the agent's models before anything is created."""

from datetime import UTC, datetime
from pathlib import Path

from tests.cloud.deploying import Deployer
from tests.cloud.test_deploy import changes
from tests.cloud.test_mistakes import expect_refusal
from tests.conftest import Voicecore
from tests.standins.aws import Aws


def test_model_that_aws_ends_is_reported_and_refused_once_it_is_over(
    aws: Aws, deployer: Deployer
) -> None:
    model = "amazon.nova-2-5-sonic"
    aws.faults.end_model(model)
    assert f"model {model}: AWS calls it Legacy" in deployer.deploy(dry_run=True).stderr
    aws.faults.end_model(model, datetime(2026, 9, 14, tzinfo=UTC))
    expect_refusal(
        deployer.deploy(), f"model {model}: AWS calls it Legacy", "ended it on 2026-09-14"
    )
    assert changes(aws) == []


def test_model_without_an_inference_profile_is_refused(
    aws: Aws, voicecore: Voicecore, tmp_path: Path
) -> None:
    options = ("--pipeline", "cascade", "--region", "us-gov-west-1", "--yes")
    assert voicecore("init", "gov", *options, cwd=tmp_path).code == 0
    profile = "us-gov.amazon.nova-2-lite-v1:0"
    refused = Deployer(tmp_path / "gov").deploy()
    expect_refusal(refused, f"no inference profile {profile} in us-gov-west-1")
    assert changes(aws) == []

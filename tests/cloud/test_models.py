"""Bedrock is asked about the agent's models before anything is created."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

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


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def cascade_with(llm: str, voicecore: Voicecore, folder: Path) -> Deployer:
    created = voicecore("init", "line", "--pipeline", "cascade", "--llm", llm, "--yes", cwd=folder)
    assert created.code == 0, created.stderr
    return Deployer(folder / "line")


def test_role_allows_the_text_model_that_the_user_named(
    aws: Aws, voicecore: Voicecore, tmp_path: Path
) -> None:
    deployer = cascade_with(f"us.{HAIKU}", voicecore, tmp_path)
    assert f'"LLM_MODEL", "us.{HAIKU}"' in (tmp_path / "line/agent/bot.py").read_text()
    plan = deployer.deploy(dry_run=True)
    assert plan.code == 0, plan.stderr
    assert f"us.{HAIKU}'s" in plan.stderr  # its price is not known
    exported = voicecore("deploy", "--export", "template", cwd=tmp_path / "line")
    assert exported.code == 0, exported.stderr
    text = "".join(Path(name).read_text() for name in exported.stdout.splitlines())
    assert f":inference-profile/us.{HAIKU}" in text
    assert f"::foundation-model/{HAIKU}" in text
    assert f"LLM_MODEL: us.{HAIKU}" in text
    assert "nova-2-lite" not in text


@pytest.mark.parametrize(
    ("llm", "told"),
    [
        (HAIKU, ("through inference profiles only", f'llm = "us.{HAIKU}"')),
        ("amazon.titan-embed-text-v2:0", ("it does not write text",)),
        ("acme.unheard-of-v1:0", ("Bedrock knows no such model", "list-foundation-models")),
    ],
)
def test_text_model_that_the_agent_could_not_call_is_refused(
    aws: Aws, voicecore: Voicecore, tmp_path: Path, llm: str, told: tuple[str, ...]
) -> None:
    expect_refusal(cascade_with(llm, voicecore, tmp_path).deploy(), *told)
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

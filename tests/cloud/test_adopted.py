"""An adopted agent is deployed with what its own code needs, and destroyed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

AGENTS = Path(__file__).parents[1] / "foreign_agents"
KEY = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"


@pytest.fixture
def adopted(voicecore: Voicecore, tmp_path: Path) -> Deployer:
    """A Pipecat bot that needs a key and calls AWS services."""
    root = Path(shutil.copytree(AGENTS / "pipecat_keys", tmp_path / "bot"))
    done = voicecore("adopt", "bot", "--add", "app,keys,dockerfile", "--region", "us-east-1")
    assert done.code == 0, done.stderr
    (root / ".env").write_text(f"DEEPGRAM_API_KEY={KEY}\n")
    settings = root / "voicecore.toml"
    more = 'environment = { GREETING = "Good morning" }\nrequest_headers = ["X-Tenant"]\n'
    settings.write_text(settings.read_text() + more)
    return Deployer(root)


def template_of(aws: Aws) -> dict[str, Any]:
    found = aws.client("cloudformation").get_template(StackName="voicecore-bot-dev")
    return json.loads(json.dumps(found["TemplateBody"]))


def test_role_and_runtime_have_what_voicecore_toml_lists(aws: Aws, adopted: Deployer) -> None:
    before = aws.inventory()
    deployed = adopted.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "does not read it" not in deployed.stderr
    resources = template_of(aws)["Resources"]
    (policy,) = resources["Role"]["Properties"]["Policies"]
    allowed = {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}
    assert allowed["UsesPolly"]["Action"] == ["polly:SynthesizeSpeech"]
    assert "foundation-model" in str(allowed["UsesBedrock"]["Resource"])
    assert "Transcribe" not in str(allowed)
    runtime = resources["Runtime"]["Properties"]
    headers = runtime["RequestHeaderConfiguration"]["RequestHeaderAllowlist"]
    assert headers[-1] == "X-Tenant"
    assert runtime["EnvironmentVariables"]["GREETING"] == "Good morning"
    assert "AGENT_SECRET_ARN" in runtime["EnvironmentVariables"]
    assert KEY not in str(template_of(aws))
    destroyed = adopted.destroy()
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert aws.inventory() == before


def test_keys_that_the_agent_would_not_get_are_named(aws: Aws, adopted: Deployer) -> None:
    (adopted.root / "agentcore_keys.py").unlink()
    planned = adopted.deploy(dry_run=True)
    assert planned.code == ExitCode.OK, planned.stderr
    assert "DEEPGRAM_API_KEY are in the secret" in planned.stderr.replace("\n", " ")
    assert "--force --add keys" in planned.stderr


def test_variable_of_aws_in_env_is_refused_with_its_file(aws: Aws, adopted: Deployer) -> None:
    with (adopted.root / ".env").open("a") as file:
        file.write("AWS_ACCESS_KEY_ID=AKIDEXAMPLE\n")
    deployed = adopted.deploy()
    assert deployed.code == ExitCode.BAD_PROJECT
    assert ".env cannot be deployed:" in deployed.stderr
    assert "agent/.env" not in deployed.stderr


def test_server_of_the_user_is_not_deployed(aws: Aws, adopted: Deployer) -> None:
    deployed = adopted.deploy(server=True)
    assert deployed.code == ExitCode.BAD_PROJECT
    assert "--force --add server" in deployed.stderr


def test_region_is_checked_as_for_a_generated_agent(aws: Aws, adopted: Deployer) -> None:
    assert adopted.deploy(region="us-west-2", dry_run=True).code == ExitCode.OK
    refused = adopted.deploy(region="mars-1", dry_run=True)
    assert refused.code != ExitCode.OK
    assert "agent.command" not in refused.stderr

"""`voicecore status` against the AWS stand-in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_deploy import edit
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

SESSION = "3f9c2a71-0000-4000-8000-000000000001"


def runtime_id(aws: Aws) -> str:
    control = aws.client("bedrock-agentcore-control")
    return control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]


def publish_usage(aws: Aws, metric: str, value: float, *dimensions: tuple[str, str]) -> None:
    """Publish usage as AgentCore does."""
    aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/Bedrock-AgentCore",
        MetricData=[
            {
                "MetricName": metric,
                "Value": value,
                # CloudWatch takes seconds, and a period excludes its end.
                "Timestamp": datetime.now(UTC) - timedelta(seconds=5),
                "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions],
            }
        ],
    )


def test_status_of_a_project_that_is_not_deployed(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    toml = deployer.root / "voicecore.toml"
    toml.write_text(toml.read_text() + '[stages.prod]\nregion = "us-west-2"\n')
    shown = voicecore("status", cwd=deployer.root)
    assert shown.code == ExitCode.OK, shown.stderr
    assert shown.stdout.count("not deployed") == 2
    assert "cost" not in shown.stdout
    assert "line · prod  account 123456789012  region us-west-2" in shown.stdout
    assert "voicecore deploy --stage prod" in shown.stdout


def test_status_of_a_deployed_stage(aws: Aws, vpc: Deployer, voicecore: Voicecore) -> None:
    assert vpc.deploy(message="first").code == ExitCode.OK
    edit(vpc)
    assert vpc.deploy(message="kinder").code == ExitCode.OK
    at = datetime.now(UTC) - timedelta(minutes=3)
    aws.agent_says(runtime_id(aws), "hello", session=SESSION, at=at)
    name = ("Name", "line_dev::DEFAULT")
    publish_usage(aws, "CPUUsed-vCPUHours", 2.0, ("Service", "AgentCore.Runtime"), name)
    publish_usage(aws, "CPUUsed-vCPUHours", 2.0, ("Service", "AgentCore.Runtime"))
    publish_usage(aws, "MemoryUsed-GBHours", 10.0, ("Service", "AgentCore.Runtime"), name)

    stage = voicecore("status", "--json", cwd=vpc.root).json["stages"][0]
    assert stage["unknown"] == []
    assert stage["deployed"] and stage["stack"]["status"] == "UPDATE_COMPLETE"
    assert [v["message"] for v in stage["versions"]] == ["first", "kinder"]
    assert stage["runtime"]["status"] == "READY"
    assert "AWS_REGION" in stage["runtime"]["environment"]
    assert {e["name"]: e["status"] for e in stage["endpoints"]} == {
        "DEFAULT": "READY", "dev": "READY"
    }  # fmt: skip
    assert stage["versions"][1]["image"] in stage["image"]["uri"]
    assert stage["image"]["pushed"]
    assert stage["network"]["mode"] == "VPC"
    assert stage["network"]["stack"] == "CREATE_COMPLETE"
    assert len(stage["network"]["subnets"]) == 2
    days = {g["name"].rpartition("-")[2]: g["days"] for g in stage["log_groups"]}
    assert days["dev"] == 30 and "DEFAULT" in days
    assert [each["session"] for each in stage["sessions"]] == [SESSION]
    assert stage["drift"] == []
    costs = {item["what"]: item["dollars"] for item in stage["cost"]["items"]}
    assert costs["AgentCore vCPU"] == pytest.approx(2 * 0.0895)
    assert costs["AgentCore memory"] == pytest.approx(10 * 0.00945)
    assert costs["models"] is None
    assert any(what.startswith("NatGateway × 1") for what in costs)

    shown = voicecore("status", cwd=vpc.root)
    assert shown.code == ExitCode.OK, shown.stderr
    for text in ("UPDATE_COMPLETE", "kinder", "READY", "voicecore's own", SESSION,
                 "kept for 30 days", "not included: models, traffic"):  # fmt: skip
        assert text in shown.stdout


def test_exported_policies_grant_all_that_the_commands_call(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, vpc: Deployer, voicecore: Voicecore
) -> None:
    use_exported_policies(monkeypatch, aws, vpc)
    for key in ("first", "second"):
        (vpc.root / "agent/.env").write_text(f"DEEPGRAM_API_KEY={key}\n")
        edit(vpc)
        deployed = vpc.deploy()
        assert deployed.code == ExitCode.OK, deployed.stderr
        assert "IAM's policy simulator" not in deployed.stderr
    aws.agent_says(runtime_id(aws), "hello", session=SESSION)
    before = len(aws.journal)
    for words in (["status", "--drift"], ["status", "--all"], ["logs", "--session", SESSION]):
        assert voicecore(*words, cwd=vpc.root).code == ExitCode.OK
    calls = [entry for entry in list(aws.journal)[before:] if entry.by == "client"]
    assert not [entry for entry in calls if entry.changes]
    assert vpc.destroy(network=True).code == ExitCode.OK

    expect_granted(aws, vpc, "agent-vpc")


def test_status_shows_why_a_runtime_failed(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    deployer.deploy()
    control = aws.client("bedrock-agentcore-control")
    found = control.get_agent_runtime(agentRuntimeId=runtime_id(aws))
    aws.faults.fail_runtime("Runtime initialization time exceeded", during="UPDATE")
    kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration", "environmentVariables")
    control.update_agent_runtime(agentRuntimeId=runtime_id(aws), **{k: found[k] for k in kept})
    shown = voicecore("status", cwd=deployer.root)
    assert "UPDATE_FAILED" in shown.stdout
    assert "Runtime initialization time exceeded" in shown.stdout
    assert "voicecore dev" in shown.stdout


def test_manual_changes_are_drift(aws: Aws, deployer: Deployer, voicecore: Voicecore) -> None:
    deployer.deploy()
    control = aws.client("bedrock-agentcore-control")
    found = control.get_agent_runtime(agentRuntimeId=runtime_id(aws))
    kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration")
    control.update_agent_runtime(
        agentRuntimeId=runtime_id(aws),
        environmentVariables={"MINE": "secret value"},
        **{k: found[k] for k in kept},
    )
    aws.client("ecr").delete_repository(repositoryName="voicecore/line", force=True)
    shown = voicecore("status", cwd=deployer.root)
    assert "its variables are MINE" in shown.stdout
    assert "no longer in the registry" in shown.stdout
    assert "Repository of voicecore-line-images was deleted" in shown.stdout
    assert "was changed" not in shown.stdout
    compared = voicecore("status", "--drift", cwd=deployer.root)
    assert "Repository of voicecore-line-images was deleted" in compared.stdout
    assert "Runtime of voicecore-line-dev was changed: EnvironmentVariables" in compared.stdout
    for more in ("--drift", "--json"):
        assert "secret value" not in voicecore("status", more, cwd=deployer.root).stdout


def test_status_shows_the_rest_of_what_it_may_not_read(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    deployer.deploy()
    aws.faults.deny("cloudwatch:*", "logs:*", "ecr:DescribeImages")
    shown = voicecore("status", cwd=deployer.root)
    assert shown.code == ExitCode.OK
    assert "READY" in shown.stdout
    for words in ("cost: ", "log groups: ", "image: "):
        assert words in shown.stdout
    assert "is not allowed to do logs:DescribeLogGroups" in shown.stdout


def test_status_of_a_stage_in_another_account(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    path = deployer.root / "voicecore.toml"
    path.write_text(path.read_text() + '[stages.prod]\naccount = "999999999999"\n')
    shown = voicecore("status", "--stage", "prod", cwd=deployer.root)
    assert shown.code == ExitCode.OK
    assert "it is in account 999999999999; these credentials are for 123456789012" in shown.stdout


def test_status_of_every_project_of_the_account(
    aws: Aws, vpc: Deployer, voicecore: Voicecore
) -> None:
    assert "has no voicecore project" in voicecore("status", "--all").stderr
    assert vpc.deploy().code == ExitCode.OK
    aws.client("ec2", "eu-west-1").allocate_address(
        TagSpecifications=[
            {
                "ResourceType": "elastic-ip",
                "Tags": [{"Key": "voicecore:project", "Value": "forgotten"}],
            }
        ]
    )
    found = voicecore("status", "--all", "--json").json["found"]
    kinds = {(each["project"], each["stage"], each["region"]): each for each in found}
    assert kinds["line", "dev", "us-east-1"]["kinds"]["bedrock-agentcore:runtime"] == 1
    shared = kinds["line", "shared", "us-east-1"]
    assert shared["kinds"]["ec2:natgateway"] == 1
    assert shared["dollars_per_month"] == pytest.approx(36.50)
    assert kinds["forgotten", "", "eu-west-1"]["dollars_per_month"] == pytest.approx(3.65)
    assert "forgotten" in voicecore("status", "--all").stdout
    dev = voicecore("status", "--all", "--stage", "dev", "--json").json["found"]
    assert [(each["project"], each["stage"]) for each in dev] == [("line", "dev")]
    nothing = voicecore("status", "--all", "--stage", "prod").stderr
    assert "has no stage 'prod' of a voicecore project" in nothing


@pytest.mark.parametrize("more", [["--drift"], ["--project", "."]])
def test_status_all_excludes_options_for_one_project(voicecore: Voicecore, more: list[str]) -> None:
    refused = voicecore("status", "--all", *more)
    assert refused.code == ExitCode.USAGE
    assert more[0] in refused.stderr


def test_status_without_credentials(
    aws: Aws, deployer: Deployer, voicecore: Voicecore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in aws.caller.environment():
        monkeypatch.delenv(name)
    refused = voicecore("status", cwd=deployer.root)
    assert refused.code == ExitCode.AWS_REFUSED
    assert "No AWS credentials were found" in refused.stderr


def test_status_without_credentials_tells_the_settings_at_phone_providers(
    aws: Aws, voicecore: Voicecore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voicecore("init", "tel", "--transport", "telephony", "--provider", "twilio", "--yes")
    with (tmp_path / "tel/server/.env").open("a") as env:
        env.write("PUBLIC_URL=https://phone.example\n")
    for name in aws.caller.environment():
        monkeypatch.delenv(name)
    told = voicecore("status", cwd=tmp_path / "tel")
    assert told.code == ExitCode.OK
    assert "https://phone.example/phone/twilio" in told.stdout
    assert "! No AWS credentials were found. What is deployed is not shown." in told.stderr
    as_json = voicecore("status", "--json", cwd=tmp_path / "tel")
    assert as_json.code == ExitCode.AWS_REFUSED

"""The session server in AWS: deployed beside the agent, updated and deleted.

Its image is a double; the stand-in runs the project's own server, in a process that uses Lambda's
Runtime API.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from tests.cloud.deploying import Deployer, use_offline
from tests.cloud.killing import expect_finish, kill_deploy
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_deploy import changes
from tests.conftest import Voicecore
from tests.standins.aws import Aws, aws_standin
from tests.standins.aws.server_python import make_python, start
from tests.standins.aws.services.quotas import set_quota
from tests.standins.server.agentcore import agentcore
from voicecore.console.errors import ExitCode


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python(tmp_path_factory.mktemp("python"))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, python: Path, tmp_path: Path) -> Iterator[Aws]:
    """The stand-in of AWS, with functions that run the project's server."""

    def run_server(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        urls = {"AWS_ENDPOINT_URL": url[0], "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": plane.url}
        return start(python, tmp_path / "line/server", command, {**env, **urls})

    url: list[str] = []
    # The server opens each session at its agent.
    with (
        agentcore() as plane,
        aws_standin(containers=run_server, data_plane=plane.url) as standin,
    ):
        url.append(standin.url)
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield standin


@dataclass(frozen=True)
class DeployedServer:
    """A session server in AWS as its callers see it."""

    url: str
    key: str

    def start(self, key: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return requests.post(f"{self.url}start", headers=headers, json={}, timeout=30)


def deployed_server(aws: Aws) -> DeployedServer:
    stack = aws.client("cloudformation").describe_stacks(StackName="voicecore-line-dev-server")
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Stacks"][0]["Outputs"]}
    secret = aws.client("secretsmanager").get_secret_value(SecretId=outputs["SessionKeyArn"])
    return DeployedServer(outputs["Url"], json.loads(secret["SecretString"])["SESSION_API_KEY"])


def variables(aws: Aws) -> dict[str, str]:
    found = aws.client("lambda").get_function(FunctionName="voicecore-line-dev-server")
    return found["Configuration"]["Environment"]["Variables"]


def edit(path: Path, text: str = "\n# edited\n") -> None:
    path.write_text(path.read_text() + text)


def test_server_is_deployed_updated_and_deleted(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    before = aws.inventory()
    use_exported_policies(monkeypatch, aws, deployer, server=True)
    deployed = deployer.deploy(server=True)
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "IAM's policy simulator" not in deployed.stderr
    assert "+ server URL" in deployed.stderr
    assert "plus AWS Lambda's charges" in deployed.stderr
    server = deployed_server(aws)
    assert f"Sessions:     {server.url}start" in deployed.stderr
    assert server.key not in deployed.stderr + deployed.stdout

    assert server.start("x" * 43).status_code == 401
    started = server.start()
    assert started.status_code == 200, started.text
    assert str(variables(aws)["AGENT_RUNTIME_ARN"]) in unquote(started.text)
    assert "qualifier=dev" in started.text and "qualifier=DEFAULT" not in started.text
    page = voicecore("invite", "--hours", "1", cwd=deployer.root)
    url, _, invite = page.stdout.strip().partition("#")
    assert (url, server.start(invite).status_code) == (server.url, 200)
    assert voicecore("invite", "--revoke", "nonsense", cwd=deployer.root).code == ExitCode.USAGE
    revoked = voicecore("invite", "--revoke", page.stdout.strip(), cwd=deployer.root)
    assert revoked.code == ExitCode.OK, revoked.stderr
    assert "continues no session. Ended 1 open session." in " ".join(revoked.stderr.split())
    assert server.start(invite).status_code == 401
    shown = voicecore("logs", "--server", cwd=deployer.root).stdout.splitlines()
    id = started.json()["sessionId"]
    assert len([row for row in shown if "session started over websocket" in row]) == 2
    assert len([row for row in shown if row[10:18] == id[:8]]) == 1, shown
    one_session = voicecore("logs", "--server", "--session", id, "--json", cwd=deployer.root).stdout
    assert [json.loads(row)["event"]["event"] for row in one_session.splitlines()] == [
        "session_started"
    ]

    expect_granted(aws, deployer, "server-lambda", server=True)
    aws.journal.clear()
    again = deployer.deploy(json=True)
    assert json.loads(again.stdout)["server"]["url"] == server.url
    assert changes(aws) == []

    edit(deployer.root / "server/internal/server.py")
    changed = deployer.deploy()
    assert "~ server function: image" in changed.stderr, changed.stderr
    assert "~ runtime" not in changed.stderr

    stage = json.loads(voicecore("status", "--json", cwd=deployer.root).stdout)["stages"][0]
    assert (stage["server"]["url"], stage["server"]["state"]) == (server.url, "Active")

    edit(deployer.root / "agent/bot.py")
    gone = deployer.destroy(only_server=True)
    assert gone.code == ExitCode.OK, gone.stderr
    assert "server" not in deployer.deploy().stderr
    assert deployer.destroy().code == ExitCode.OK
    assert aws.inventory() == before
    expect_granted(aws, deployer, "server-lambda", server=True)


def reserved(aws: Aws) -> int | None:
    found = aws.client("lambda").get_function(FunctionName="voicecore-line-dev-server")
    return found.get("Concurrency", {}).get("ReservedConcurrentExecutions")


def test_concurrency_of_the_function_is_reserved_and_priced(aws: Aws, deployer: Deployer) -> None:
    deployed = deployer.deploy(server=True)
    assert "at most 50 requests at once, so a flood costs at most" in deployed.stderr
    assert reserved(aws) == 50
    edit(deployer.root / "voicecore.toml", "\n[server]\nconcurrency = 7\n")
    assert "~ server function: concurrency" in deployer.deploy().stderr
    assert reserved(aws) == 7


def test_new_account_that_can_reserve_nothing_gets_a_server(aws: Aws, deployer: Deployer) -> None:
    set_quota(aws.cloud, "lambda", "L-B99A9384", 10)
    deployed = deployer.deploy(server=True)
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "at most 10 requests at once" in deployed.stderr
    assert reserved(aws) is None


def test_account_that_has_reserved_its_concurrency_fails_preflight(
    aws: Aws, deployer: Deployer
) -> None:
    set_quota(aws.cloud, "lambda", "L-B99A9384", 1000)
    assert deployer.deploy(server=True).code == ExitCode.OK
    client = aws.client("lambda")
    client.put_function_concurrency(
        FunctionName="voicecore-line-dev-server", ReservedConcurrentExecutions=880
    )
    toml = deployer.root / "voicecore.toml"
    toml.write_text(toml.read_text() + "\n[stages.prod]\n")
    aws.journal.clear()
    result = deployer.deploy(server=True, stage="prod")
    assert result.code == ExitCode.AWS_REFUSED
    assert "reserves 50 executions at once" in result.stderr
    assert "Set concurrency under [server] in voicecore.toml to 20 or less" in result.stderr
    assert changes(aws) == []


def test_variables_of_the_server_are_deployed_in_the_open_or_as_a_secret(
    aws: Aws, deployer: Deployer
) -> None:
    path = deployer.root / "server/.env"
    edit(path, "\nSTARTS_PER_MINUTE=7\nTWILIO_AUTH_TOKEN=hush\n")
    assert deployer.deploy(server=True).code == ExitCode.OK
    first = variables(aws)
    assert first["STARTS_PER_MINUTE"] == "7"
    assert "hush" not in json.dumps(first)
    path.write_text(path.read_text().replace("hush", "sssh"))
    changed = deployer.deploy()
    assert "~ secret: TWILIO_AUTH_TOKEN" in changed.stderr
    assert "sssh" not in changed.stderr
    # Another version of the secret starts other processes, which read it.
    assert variables(aws)["SERVER_SECRET_VERSION"] != first["SERVER_SECRET_VERSION"]
    secret = aws.client("secretsmanager").get_secret_value(SecretId=first["SERVER_SECRET_ARN"])
    assert json.loads(secret["SecretString"]) == {"TWILIO_AUTH_TOKEN": "sssh"}
    path.write_text(path.read_text().replace("TWILIO_AUTH_TOKEN=sssh", ""))
    assert "- secret" in deployer.deploy().stderr
    assert deployed_server(aws).start().status_code == 200


@pytest.mark.parametrize(
    ("action", "call"),
    [("cloudformation:CreateStack", 3), ("secretsmanager:PutSecretValue", 1)],
)
def test_killed_deploy_is_finished_by_the_next(
    aws: Aws, deployer: Deployer, action: str, call: int
) -> None:
    edit(deployer.root / "server/.env", "\nTWILIO_AUTH_TOKEN=hush\n")
    kill_deploy(aws, deployer, call, action=action, server=True)
    expect_finish(deployer, action, server=True)
    assert deployed_server(aws).start().status_code == 200


def refused(deployer: Deployer, **options: Any) -> str:
    result = deployer.deploy(server=True, **options)
    assert result.code == ExitCode.BAD_PROJECT, result.stderr
    return result.stderr


def test_server_that_cannot_be_deployed_is_refused_before_anything_is_created(
    aws: Aws, deployer: Deployer
) -> None:
    path = deployer.root / "server/.env"
    edit(path, "\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n")
    assert "server/.env cannot be deployed" in refused(deployer)
    path.write_text("")
    use_offline(deployer.root, region="ap-south-2")
    assert "AWS promises none in ap-south-2" in refused(deployer)
    assert changes(aws) == []


def test_invite_requires_a_server(aws: Aws, deployer: Deployer, voicecore: Voicecore) -> None:
    refused = voicecore("invite", cwd=deployer.root)
    assert refused.code == ExitCode.NOT_DEPLOYED
    assert "voicecore deploy --server" in refused.stderr


@pytest.fixture
def phones(voicecore: Voicecore, tmp_path: Path) -> Deployer:
    """A project that is called by telephone."""
    chosen = ("--transport", "telephony", "--provider", "twilio", "--pipeline", "nova-sonic")
    assert voicecore("init", "phone", *chosen, "--yes", cwd=tmp_path).code == ExitCode.OK
    phones = Deployer(tmp_path / "phone")
    edit(phones.root / "server/.env", "\nTWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=hush\n")
    return phones


def test_server_that_carries_calls_is_planned_and_priced(aws: Aws, phones: Deployer) -> None:
    planned = phones.deploy(server=True, dry_run=True)
    assert planned.code == ExitCode.OK, planned.stderr
    for row in (
        "+ load balancer",
        "+ server service",
        "+ server URL",
        "CloudFront's and Twilio's charges",
    ):
        assert row in planned.stderr, planned.stderr
    assert "+ session table" in planned.stderr
    assert changes(aws) == []


def test_deployed_network_gets_what_a_load_balancer_needs(
    aws: Aws, vpc: Deployer, voicecore: Voicecore
) -> None:
    assert vpc.deploy().code == ExitCode.OK
    added = ("add", "telephony", "--provider", "twilio", "--yes")
    assert voicecore(*added, cwd=vpc.root).code == ExitCode.OK
    edit(vpc.root / "server/.env", "\nTWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=hush\n")
    planned = vpc.deploy(server=True, dry_run=True).stderr
    network, _, rest = planned.partition("voicecore-line-network\n")[2].partition("voicecore-line-")
    assert network.split() == ["+", "subnet", "+", "route"], planned
    assert "+ load balancer" in rest


def test_server_cannot_move_from_lambda_to_ecs(
    aws: Aws, vpc: Deployer, voicecore: Voicecore
) -> None:
    assert vpc.deploy(server=True).code == ExitCode.OK
    added = ("add", "telephony", "--provider", "twilio", "--yes")
    assert voicecore(*added, cwd=vpc.root).code == ExitCode.OK
    edit(vpc.root / "server/.env", "\nTWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=hush\n")
    aws.journal.clear()
    assert "voicecore destroy --only-server" in refused(vpc)
    assert changes(aws) == []


def test_leftovers_of_a_server_fail_preflight(aws: Aws, phones: Deployer) -> None:
    name = "voicecore-phone-dev-server"
    aws.client("ecs").create_cluster(clusterName=name)
    subnet = aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    tags = {"voicecore:project": "phone", "voicecore:stage": "dev"}
    aws.client("elbv2").create_load_balancer(
        Name="left", Subnets=[subnet], Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
    )
    result = phones.deploy(server=True)
    assert result.code == ExitCode.AWS_REFUSED
    for left in (f"a cluster named {name} exists", "a load balancer named loadbalancer/app/left/"):
        assert left in result.stderr, result.stderr


def test_template_of_a_server_that_carries_calls_is_exported(aws: Aws, phones: Deployer) -> None:
    assert phones.deploy(server=True, export=True).code == ExitCode.OK
    text = (phones.root / "cloudformation/voicecore-phone-dev-server.yaml").read_text()
    assert "AWS::ECS::Service" in text and "hush" not in text
    toml = phones.root / "voicecore.toml"
    toml.write_text(toml.read_text().replace('network = "vpc"', 'network = "public"'))
    assert 'this stage has network = "public"' in refused(phones)
    assert changes(aws) == []


def test_template_of_a_server_on_lambda_is_exported(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy(server=True, export=True).code == ExitCode.OK
    folder = deployer.root / "cloudformation"
    assert "AWS::Lambda::Url" in (folder / "voicecore-line-dev-server.yaml").read_text()

"""A session server that carries phone calls: calls reach the agent, and no update cuts one off.

Its images are doubles. The stand-in's tasks run the project's own server, behind its load balancer
and CloudFront; the server calls a small agent in the local runtime.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_server import edit
from tests.conftest import Voicecore
from tests.e2e.standins.test_aws_ecs_tasks import wait_until
from tests.ports import free_port
from tests.standins.aws import Aws, aws_standin
from tests.standins.phone import Proof, Provider
from tests.standins.runtime.runtime_lab import RuntimeLab, runtime_lab
from voicecore.catalog.transports.record import HEADERS
from voicecore.console.errors import ExitCode
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.processes import venv

AGENT = Path(__file__).parents[1] / "standins/server/phone_agent.py"
STACK = "voicecore-phone-dev-server"


@dataclass(frozen=True)
class PhoneServer:
    """A deployed server for phone calls, the stand-in of AWS, and the phone provider."""

    aws: Aws
    deployer: Deployer
    voicecore: Voicecore
    provider: Provider
    processes: list[subprocess.Popen[str]]

    @property
    def root(self) -> Path:
        return self.deployer.root

    def output(self, stack: str, key: str) -> str:
        found = self.aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}[key]

    @property
    def url(self) -> str:
        return self.output(STACK, "Url").rstrip("/")

    def stack(self) -> str:
        cloud = self.aws.client("cloudformation")
        return cloud.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]

    def tasks(self, status: str = "RUNNING") -> list[str]:
        query = {"cluster": STACK, "serviceName": STACK, "desiredStatus": status}
        arns = self.aws.client("ecs").list_tasks(**query)["taskArns"]
        return [arn.rpartition("/")[2] for arn in arns]

    def reasons(self, tasks: Sequence[str]) -> list[str]:
        """Return why these tasks stopped."""
        found = self.aws.client("ecs").describe_tasks(cluster=STACK, tasks=tasks)["tasks"]
        return [task.get("stoppedReason", "") for task in found]

    def events(self, task: str) -> list[str]:
        """Return the names of the events that a task logged."""
        logged = self.aws.client("logs").get_log_events(
            logGroupName=f"/ecs/{STACK}", logStreamName=f"server/server/{task}"
        )["events"]
        return [json.loads(event["message"])["event"] for event in logged]

    def status(self) -> dict[str, Any]:
        shown = self.voicecore("status", "--json", cwd=self.root)
        return json.loads(shown.stdout)["stages"][0]["server"]

    async def wait_until(self, is_true: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, is_true)


@asynccontextmanager
async def phone_server(
    monkeypatch: pytest.MonkeyPatch, voicecore: Voicecore, folder: Path
) -> AsyncIterator[tuple[PhoneServer, dict[str, str]]]:
    """Yield the server, and the variables by which its tasks find the agent."""
    chosen = ("--transport", "telephony", "--provider", "twilio", "--pipeline", "nova-sonic")
    created = voicecore("init", "phone", *chosen, "--yes", cwd=folder)
    assert created.code == ExitCode.OK, created.stderr
    root, agents, processes = folder / "phone", dict[str, str](), list[subprocess.Popen[str]]()
    venv.sync((root / "server",), os.environ)

    def start(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [venv.python_of(root / "server"), *(command[1:] or ["-m", "internal.server"])],
            cwd=root / "server", env={**env, **agents},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if not command:
            processes.append(process)
        return process

    with aws_standin(containers=start) as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        # CloudFront's certificate authority is created with the first distribution.
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        async with Provider("twilio", trust) as provider:
            edit(root / "server/.env", lines(provider.variables))
            yield PhoneServer(aws, Deployer(root), voicecore, provider, processes), agents


def lines(variables: Mapping[str, str]) -> str:
    return "".join(f"\n{name}={value}" for name, value in variables.items())


def test_no_call_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, voicecore: Voicecore, tmp_path: Path
) -> None:
    async def live() -> None:
        async with phone_server(monkeypatch, voicecore, tmp_path) as (phone, agents):
            before = phone.aws.inventory()
            use_exported_policies(monkeypatch, phone.aws, phone.deployer, server=True)
            pair, port = make_credentials(), free_port()
            agents["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] = f"http://127.0.0.1:{port}"
            agents["AWS_ACCESS_KEY_ID"] = pair.access_key_id
            agents["AWS_SECRET_ACCESS_KEY"] = pair.secret_access_key
            # Its tasks use the same keys for the session table.
            agents["AWS_ENDPOINT_URL_DYNAMODB"] = phone.aws.url
            phone.aws.cloud.callers[pair.access_key_id] = replace(
                phone.aws.caller,
                access_key_id=pair.access_key_id,
                secret_access_key=pair.secret_access_key,
                session_token=None,
            )
            deployed = await asyncio.to_thread(phone.deployer.deploy, server=True)
            assert deployed.code == ExitCode.OK, deployed.stderr
            runtime = phone.output("voicecore-phone-dev", "RuntimeArn")
            allowed = check_allowlist(HEADERS)
            async with runtime_lab(
                tmp_path,
                app=AGENT,
                arn=runtime,
                port=port,
                credentials=pair,
                allowlist=allowed,
                qualifiers=("dev",),
            ) as agentcore:
                await expect_calls_survive_an_update(phone, agentcore)
                await expect_broken_server_is_rolled_back(phone)
            gone = await asyncio.to_thread(phone.deployer.destroy, network=True)
            assert gone.code == ExitCode.OK, gone.stderr
            assert phone.aws.inventory() == before
            assert all(process.poll() is not None for process in phone.processes)
            expect_granted(phone.aws, phone.deployer, "server-ecs", server=True)

    asyncio.run(live())


async def expect_calls_survive_an_update(phone: PhoneServer, agentcore: RuntimeLab) -> None:
    assert (await phone.provider.ring(phone.url, Proof.FORGED)).status == 401
    assert agentcore.sessions() == []
    async with phone.provider.call(phone.url) as first:
        await first.hears(0.4)
        [old] = phone.tasks()
        edit(phone.root / "server/internal/server.py")
        changed = await asyncio.to_thread(phone.deployer.deploy)
        assert changed.code == ExitCode.OK, changed.stderr
        [new] = phone.tasks()
        stopped = phone.tasks("STOPPED")
        assert (stopped, phone.stack()) == ([old], "UPDATE_IN_PROGRESS"), phone.reasons(stopped)
        assert "New calls go to the new server" in changed.stderr, changed.stderr
        again = await asyncio.to_thread(phone.deployer.deploy, json=True)
        document = json.loads(again.stdout)
        assert (document["changed"], document["server"]["draining"]) == (False, 1)
        assert document["server"]["calls"] == {"twilio": f"{phone.url}/phone/twilio"}
        tasks = (await asyncio.to_thread(phone.status))["tasks"]
        assert (tasks["targets"], tasks["calls"]) == ({"healthy": 1, "draining": 1}, 1)
        async with phone.provider.call(phone.url) as second:
            await second.hears(0.4)
            assert len(agentcore.sessions()) == 2
            second.press("2")
            await second.hung_up_on()
        first.press("1")
        await first.is_cleared()  # caller and agent still hear each other
        assert "call_ended" not in phone.events(old)
    await phone.wait_until(lambda: phone.stack() == "UPDATE_COMPLETE")
    assert phone.events(old).count("call_ended") == phone.events(new).count("call_ended") == 1
    assert first.complaints == second.complaints == []
    logged = await asyncio.to_thread(phone.voicecore, "logs", "--server", "--json", cwd=phone.root)
    shown = [json.loads(line)["event"]["event"] for line in logged.stdout.splitlines()]
    assert (shown.count("call_answered"), shown.count("call_ended")) == (2, 2)


async def expect_broken_server_is_rolled_back(phone: PhoneServer) -> None:
    """Check that a server that does not start is rolled back, and the one before it continues."""
    path = phone.root / "server/internal/server.py"
    text = path.read_text()
    path.write_text(f"raise SystemExit('no such setting')\n{text}")
    failed = await asyncio.to_thread(phone.deployer.deploy)
    assert failed.code != ExitCode.OK
    assert "no such setting" in failed.stderr, failed.stderr
    assert phone.stack() == "UPDATE_ROLLBACK_COMPLETE"
    async with phone.provider.call(phone.url) as handset:
        await handset.hears(0.4)
    path.write_text(text)

"""A telephone's server in AWS for all its life: calls reach the agent, and none is cut.

Its images are doubles. What they run is the project's own server, in the stand-in's tasks, behind
its load balancer and CloudFront; the agent that it calls is a small one, in the local runtime.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_hosting import edit
from tests.cloud.test_life import not_granted
from tests.conftest import Voicecore
from tests.e2e.standins.test_aws_tasks import wait_until
from tests.standins.aws import Aws, aws_standin
from tests.standins.phone import Proof, Provider
from tests.standins.runtime.runtime_lab import Lab, lab
from voicecore.catalog.transports.record import HEADERS
from voicecore.console.errors import ExitCode
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.processes import venv
from voicecore.local.processes.ports import free_port

AGENT = Path(__file__).parents[1] / "standins/server/phone_agent.py"
STACK = "voicecore-phone-dev-server"


@dataclass(frozen=True)
class Office:
    """Somebody's telephone number, and the AWS that answers it."""

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

    def tasks(self, wanted: str = "RUNNING") -> list[str]:
        asked = {"cluster": STACK, "serviceName": STACK, "desiredStatus": wanted}
        arns = self.aws.client("ecs").list_tasks(**asked)["taskArns"]
        return [arn.rpartition("/")[2] for arn in arns]

    def events(self, task: str) -> list[str]:
        """What a task told, by the names of its events."""
        said = self.aws.client("logs").get_log_events(
            logGroupName=f"/ecs/{STACK}", logStreamName=f"server/server/{task}"
        )["events"]
        return [json.loads(event["message"])["event"] for event in said]

    def status(self) -> dict[str, Any]:
        shown = self.voicecore("status", "--json", cwd=self.root)
        return json.loads(shown.stdout)["stages"][0]["server"]

    async def until(self, true: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, true)


@asynccontextmanager
async def office(
    monkeypatch: pytest.MonkeyPatch, voicecore: Voicecore, folder: Path
) -> AsyncIterator[tuple[Office, dict[str, str]]]:
    """A project that is called by telephone, and where its servers are to find the agent."""
    chosen = ("--transport", "telephony", "--provider", "twilio", "--pipeline", "nova-sonic")
    made = voicecore("init", "phone", *chosen, "--yes", cwd=folder)
    assert made.code == ExitCode.OK, made.stderr
    root, agents, processes = folder / "phone", dict[str, str](), list[subprocess.Popen[str]]()
    toml = root / "voicecore.toml"
    toml.write_text(f'network = "vpc"\n{toml.read_text()}')
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
        # The authority of CloudFront's certificate is made when the first door is.
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        async with Provider("twilio", trust) as provider:
            edit(root / "server/.env", lines(provider.variables))
            yield Office(aws, Deployer(root), voicecore, provider, processes), agents


def lines(variables: Mapping[str, str]) -> str:
    return "".join(f"\n{name}={value}" for name, value in variables.items())


def test_no_call_is_cut(
    monkeypatch: pytest.MonkeyPatch, voicecore: Voicecore, tmp_path: Path
) -> None:
    async def live() -> None:
        async with office(monkeypatch, voicecore, tmp_path) as (it, agents):
            before = it.aws.inventory()
            pair, port = make_credentials(), free_port()
            agents["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] = f"http://127.0.0.1:{port}"
            agents["AWS_ACCESS_KEY_ID"] = pair.access_key_id
            agents["AWS_SECRET_ACCESS_KEY"] = pair.secret_access_key
            deployed = await asyncio.to_thread(it.deployer.deploy, server=True)
            assert deployed.code == ExitCode.OK, deployed.stderr
            runtime = it.output("voicecore-phone-dev", "RuntimeArn")
            allowed = check_allowlist(HEADERS)
            async with lab(
                tmp_path, app=AGENT, arn=runtime, port=port, credentials=pair, allowlist=allowed
            ) as agentcore:
                await calls(it, agentcore)
                await mistake(it)
            gone = await asyncio.to_thread(it.deployer.destroy, network=True)
            assert gone.code == ExitCode.OK, gone.stderr
            assert it.aws.inventory() == before
            assert all(process.poll() is not None for process in it.processes)
            assert not_granted(it.aws, it.deployer, server=True) == set()

    asyncio.run(live())


async def calls(it: Office, agentcore: Lab) -> None:
    assert (await it.provider.ring(it.url, Proof.FORGED)).status == 401
    assert agentcore.sessions() == []
    async with it.provider.call(it.url) as first:
        await first.hears(0.4)
        [old] = it.tasks()
        edit(it.root / "server/internal/server.py")
        changed = await asyncio.to_thread(it.deployer.deploy)
        assert changed.code == ExitCode.OK, changed.stderr
        [new] = it.tasks()
        assert (it.tasks("STOPPED"), it.stack()) == ([old], "UPDATE_IN_PROGRESS")
        assert "New calls go to the new server" in changed.stderr, changed.stderr
        again = await asyncio.to_thread(it.deployer.deploy, json=True)
        told = json.loads(again.stdout)
        assert (told["changed"], told["server"]["draining"]) == (False, 1)
        assert told["server"]["calls"] == {"twilio": f"{it.url}/phone/twilio"}
        tasks = (await asyncio.to_thread(it.status))["tasks"]
        assert (tasks["targets"], tasks["calls"]) == ({"healthy": 1, "draining": 1}, 1)
        async with it.provider.call(it.url) as second:
            await second.hears(0.4)
            assert len(agentcore.sessions()) == 2
            second.press("2")
            await second.hung_up_on()
        first.press("1")
        await first.is_cleared()  # the agent still hears it, and it the agent
        assert "call_ended" not in it.events(old)
    await it.until(lambda: it.stack() == "UPDATE_COMPLETE")
    assert it.events(old).count("call_ended") == it.events(new).count("call_ended") == 1
    assert first.complaints == second.complaints == []
    logged = await asyncio.to_thread(it.voicecore, "logs", "--server", "--json", cwd=it.root)
    shown = [json.loads(line)["event"]["event"] for line in logged.stdout.splitlines()]
    assert (shown.count("call_answered"), shown.count("call_ended")) == (2, 2)


async def mistake(it: Office) -> None:
    """A server that does not start comes to nothing: the one before it goes on."""
    path = it.root / "server/internal/server.py"
    text = path.read_text()
    path.write_text(f"raise SystemExit('no such setting')\n{text}")
    failed = await asyncio.to_thread(it.deployer.deploy)
    assert failed.code != ExitCode.OK
    assert "no such setting" in failed.stderr, failed.stderr
    assert it.stack() == "UPDATE_ROLLBACK_COMPLETE"
    async with it.provider.call(it.url) as handset:
        await handset.hears(0.4)
    path.write_text(text)

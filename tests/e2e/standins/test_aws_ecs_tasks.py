"""The stand-in's ECS, load balancers and CloudFront: running tasks, and requests to them."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from tests.e2e.standins.test_aws_ecs_stack import (
    FROM_CLOUDFRONT,
    ZONES,
    apply_stack,
    delete_stack,
    status,
    with_certificate,
)
from tests.standins.aws import Aws, aws_standin
from tests.unit.cloud.deployments import AGENT, DOMAIN, phone_deployment
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import ecs_server_stack
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project import aws_names

APP = Path(__file__).parents[2] / "standins/aws/ecs/task_app.py"
NAME = "voicecore-support-line-dev-server"
START_ROLE = aws_names.server_start_role_for("support-line", "dev", "us-east-1")
PLAIN = {"STARTS_PER_MINUTE": "7"}


def wait_until(true: Callable[[], bool]) -> None:
    """Poll slowly: each poll costs, and processes take their time."""
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@dataclass
class Stage:
    """A stage with a running session server."""

    aws: Aws
    of: Deployment
    folder: Path
    processes: list[subprocess.Popen[str]]
    network: dict[str, str]
    images: list[str]
    outputs: dict[str, str]

    def stack(self, image: str) -> Stack:
        env, network = Environment(PLAIN, {}), self.network | FROM_CLOUDFRONT
        return ecs_server_stack(self.of, env, image, AGENT, "", network)

    @property
    def ecs(self) -> Any:
        return self.aws.client("ecs")

    def service(self) -> dict[str, Any]:
        return self.ecs.describe_services(cluster=NAME, services=[NAME])["services"][0]

    def tasks(self, wanted: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=NAME, serviceName=NAME, desiredStatus=wanted)
        query = {"cluster": NAME, "tasks": arns["taskArns"]}
        return self.ecs.describe_tasks(**query)["tasks"] if arns["taskArns"] else []

    def stopped(self, task: dict[str, Any]) -> dict[str, Any]:
        """Return the stopped task."""
        return {each["taskArn"]: each for each in self.tasks("STOPPED")}[task["taskArn"]]

    def health(self) -> list[str]:
        elb = self.aws.client("elbv2")
        (group,) = elb.describe_target_groups()["TargetGroups"]
        found = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        return sorted(t["TargetHealth"]["State"] for t in found["TargetHealthDescriptions"])

    def set_delay(self, seconds: int) -> None:
        elb = self.aws.client("elbv2")
        (group,) = elb.describe_target_groups()["TargetGroups"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        elb.modify_target_group_attributes(
            TargetGroupArn=group["TargetGroupArn"], Attributes=[delay]
        )

    def begin_update(self, image: str) -> None:
        stack = self.stack(image)
        self.aws.client("cloudformation").update_stack(
            StackName=NAME,
            TemplateBody=stack.body,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": k, "ParameterValue": v} for k, v in stack.parameters.items()
            ],
            Tags=[{"Key": k, "Value": v} for k, v in stack.tags.items()],
        )

    def settled(self) -> str:
        wait_until(lambda: not status(self.aws, NAME).endswith("_IN_PROGRESS"))
        return status(self.aws, NAME)

    async def until(self, true: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, true)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[aiohttp.ClientSession]:
        assert self.aws.traffic is not None
        trust = ssl.create_default_context(cafile=str(self.aws.traffic.trust))
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(self.outputs["Url"], connector=connector) as http:
            yield http


def images_of(aws: Aws, count: int) -> list[str]:
    """Push `count` images and return their URIs."""
    ecr, name = aws.client("ecr"), "voicecore/support-line"
    ecr.create_repository(repositoryName=name)
    made = []
    for number in range(count):
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": f"sha256:{number:064d}",
                "size": 10,
            },
            "layers": [],
        }
        put = ecr.put_image(
            repositoryName=name, imageManifest=json.dumps(manifest), imageTag=str(number)
        )
        digest = put["image"]["imageId"]["imageDigest"]
        made.append(f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{name}@{digest}")
    return made


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Deploy a stage; at the end, check that everything is deleted."""
    folder, processes = tmp_path_factory.mktemp("task"), list[subprocess.Popen[str]]()

    def start(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *(command[1:] or [APP])],
            cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if not command:
            processes.append(process)
        return process

    with aws_standin(containers=start) as aws:
        images, before = images_of(aws, 4), aws.inventory()
        of = phone_deployment()
        network = apply_stack(aws, network_stack(of, ZONES))
        stage = Stage(aws, of, folder, processes, network, images, {})
        stage.outputs = apply_stack(aws, stage.stack(images[0]))
        yield stage
        stage.set_delay(0)
        delete_stack(aws, NAME)
        delete_stack(aws, network_stack(of, ZONES).name)
        assert {t.kind for t in aws.inventory() - before} <= {"ecs:task-definition"}
        assert all(process.poll() is not None for process in processes)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_task_runs_with_its_definition(stage: Stage) -> None:
    service = stage.service()
    assert (service["runningCount"], service["desiredCount"]) == (1, 1)
    (deployment,) = service["deployments"]
    assert (deployment["rolloutState"], deployment["failedTasks"]) == ("COMPLETED", 0)
    assert "has reached a steady state" in service["events"][0]["message"]
    (task,) = stage.tasks()
    assert (task["lastStatus"], task["healthStatus"]) == ("RUNNING", "HEALTHY")
    assert stage.health() == ["healthy"]

    async def ask() -> None:
        async with stage.http() as http, http.post("/a%2Fb?c=%20", data="hello") as answer:
            answered = await answer.json()
        assert (answered["path"], answered["body"]) == ("/a%2Fb?c=%20", "hello")
        env = answered["env"]
        assert env["STARTS_PER_MINUTE"] == "7" and env["PUBLIC_URL"] + "/" == stage.outputs["Url"]
        assert len(env["SESSION_API_KEY"]) >= 32
        assert env["TRUSTED_PROXIES"] == answered["from"]  # the load balancer's network
        keys_at.append(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"])

    keys_at: list[str] = []
    run(ask())
    keys = requests.get(keys_at[0], timeout=30).json()
    sts = stage.aws.client(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    role = keys["RoleArn"].rpartition("/")[2]
    assert f"assumed-role/{role}/" in sts.get_caller_identity()["Arn"]
    id = task["taskArn"].rpartition("/")[2]
    said = stage.aws.client("logs").get_log_events(
        logGroupName=f"/ecs/{NAME}", logStreamName=f"server/server/{id}"
    )
    assert "request for /a/b" in {event["message"] for event in said["events"]}


def test_only_cloudfront_is_accepted_and_forwards_the_address(stage: Stage) -> None:
    async def ask() -> None:
        forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Bad_name": "1"}
        async with stage.http() as http, http.get("/who", headers=forged) as answer:
            headers = (await answer.json())["headers"]
        assert headers["X-Forwarded-For"] == "6.6.6.6, 127.0.0.1"
        assert headers["X-Forwarded-Proto"] == "http"
        assert "X-Bad_name" not in headers
        assert headers["Host"] == stage.outputs["Url"].split("/")[2]

    run(ask())
    (balancer,) = stage.aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
    answer = requests.get(f"http://{balancer['DNSName']}/who", timeout=30)
    assert (answer.status_code, answer.text) == (403, "Call by HTTPS.")


def test_websockets_pass_in_both_directions(stage: Stage) -> None:
    async def ask() -> None:
        async with stage.http() as http:
            async with http.ws_connect("/echo", protocols=("other", "voice")) as socket:
                assert socket.protocol == "voice"
                assert (await socket.receive_str()).isdecimal()
                await socket.send_bytes(b"\xff\0" * 1000)
                assert await socket.receive_bytes() == b"\xff\0" * 1000
                await socket.send_str("close")
                await socket.receive()
                assert socket.close_code == 4001
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await http.ws_connect("/refused")

    run(ask())


def test_least_busy_target_gets_the_next_request(stage: Stage) -> None:
    stage.ecs.update_service(cluster=NAME, service=NAME, desiredCount=2)
    wait_until(lambda: stage.health() == ["healthy", "healthy"])

    async def ask() -> None:
        async with stage.http() as http, http.ws_connect("/echo") as one:
            first = await one.receive_str()
            for _ in range(3):
                async with http.ws_connect("/echo") as other:
                    assert await other.receive_str() != first

    run(ask())
    stage.ecs.update_service(cluster=NAME, service=NAME, desiredCount=1)
    wait_until(lambda: stage.health() == ["healthy"])
    assert stage.service()["runningCount"] == 1


def test_load_balancer_serves_the_domain_itself(stage: Stage) -> None:
    of = phone_deployment(name="prod", server=with_certificate(stage.aws).stage.server)
    settings = Environment(PLAIN, {})
    stack = ecs_server_stack(of, settings, stage.images[0], AGENT, "", stage.network)
    address = apply_stack(stage.aws, stack)["Address"]

    async def ask() -> None:
        async with stage.http() as http:
            given = {"Host": DOMAIN.domain, "X-Forwarded-For": "6.6.6.6"}
            url = f"https://{address}/who"
            async with http.get(url, headers=given, server_hostname=DOMAIN.domain) as answer:
                headers = (await answer.json())["headers"]
        assert headers["Host"] == DOMAIN.domain
        assert headers["X-Forwarded-For"] == "6.6.6.6, 127.0.0.1"
        assert headers["X-Forwarded-Proto"] == "https"

    run(ask())
    delete_stack(stage.aws, stack.name)


def test_deployment_waits_for_open_calls(stage: Stage) -> None:
    (first,) = stage.tasks()

    async def ask() -> None:
        async with stage.http() as http, http.ws_connect("/echo") as before:
            old = await before.receive_str()
            stage.begin_update(stage.images[1])
            await stage.until(lambda: stage.health() == ["draining", "healthy"])
            async with http.ws_connect("/echo") as after:
                assert await after.receive_str() != old
            await before.send_str("still there?")
            assert await before.receive_str() == "still there?"
            service = stage.service()
            assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE"]
            assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
            assert status(stage.aws, NAME) == "UPDATE_IN_PROGRESS"
            assert stage.stopped(first)["lastStatus"] == "DEACTIVATING"
            assert len(stage.tasks()) == 1
        assert await asyncio.to_thread(stage.settled) == "UPDATE_COMPLETE"

    run(ask())
    gone = stage.stopped(first)
    assert gone["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/")
    assert [c["exitCode"] for c in gone["containers"]] == [0]
    assert stage.health() == ["healthy"]


def test_stubborn_task_is_killed(stage: Stage) -> None:
    (first,) = stage.tasks()

    async def ask() -> None:
        async with stage.http() as http, http.ws_connect("/echo") as socket:
            await socket.receive_str()
            await socket.send_str("stay")
            stage.begin_update(stage.images[2])
            await stage.until(lambda: stage.health() == ["draining", "healthy"])
            stage.aws.clock.advance(3600)
            assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
        await stage.until(lambda: stage.stopped(first)["lastStatus"] == "STOPPING")
        stage.aws.clock.advance(120)
        assert await asyncio.to_thread(stage.settled) == "UPDATE_COMPLETE"

    run(ask())
    assert stage.stopped(first)["containers"][0]["exitCode"] == 137


@contextmanager
def unreadable_secrets(aws: Aws) -> Iterator[None]:
    """Deny the start role all secrets while the block runs."""
    iam, role = aws.client("iam"), {"RoleName": START_ROLE, "PolicyName": "server"}
    document = iam.get_role_policy(**role)["PolicyDocument"]
    less = [each for each in document["Statement"] if each["Sid"] != "Secrets"]
    iam.put_role_policy(**role, PolicyDocument=json.dumps({**document, "Statement": less}))
    yield
    iam.put_role_policy(**role, PolicyDocument=json.dumps(document))


@pytest.mark.parametrize(
    "why", ["CannotPullContainerError", "AccessDeniedException"], ids=["image", "secret"]
)
def test_failed_start_rolls_back(stage: Stage, why: str) -> None:
    (before,) = stage.tasks()
    image_exists = why == "AccessDeniedException"
    unknown = stage.images[0].partition("@")[0] + "@sha256:" + "0" * 64
    with unreadable_secrets(stage.aws) if image_exists else nullcontext():
        stage.begin_update(stage.images[3] if image_exists else unknown)
        assert stage.settled() == "UPDATE_ROLLBACK_COMPLETE"
    events = stage.aws.client("cloudformation").describe_stack_events(StackName=NAME)
    reasons = [e.get("ResourceStatusReason", "") for e in events["StackEvents"]]
    assert any("ECS Deployment Circuit Breaker was triggered" in each for each in reasons)
    failed = [t for t in stage.tasks("STOPPED") if t["stopCode"] == "TaskFailedToStart"]
    assert len([t for t in failed if why in t["stoppedReason"]]) == 3
    assert [t["taskArn"] for t in stage.tasks()] == [before["taskArn"]]  # it never stopped
    assert stage.health() == ["healthy"]


@pytest.mark.parametrize(
    ("word", "why", "code"),
    [
        ("die", "Essential container in task exited", 3),
        ("unhealthy", r"Task failed (ELB|container) health checks", 0),
    ],
)
def test_dead_or_unhealthy_task_is_replaced(stage: Stage, word: str, why: str, code: int) -> None:
    (first,) = stage.tasks()

    def is_replaced() -> bool:
        gone = [t["taskArn"] for t in stage.tasks("STOPPED") if t["lastStatus"] == "STOPPED"]
        return first["taskArn"] in gone and stage.health() == ["healthy"]

    async def ask() -> None:
        async with stage.http() as http, http.ws_connect("/echo") as socket:
            await socket.receive_str()
            await socket.send_str(word)
            if word == "unhealthy":  # past its grace period and failed checks
                for _ in range(8):
                    stage.aws.clock.advance(10)
                    await asyncio.sleep(0.2)
            await socket.close()
            await stage.until(is_replaced)
            async with http.ws_connect("/echo") as other:
                await other.receive_str()

    run(ask())
    gone = stage.stopped(first)
    assert re.match(why, gone["stoppedReason"])
    assert gone["containers"][0]["exitCode"] == code

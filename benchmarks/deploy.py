"""Measures deploys against a stand-in of AWS whose operations take as long as AWS's own.

The first deploy is compared with its critical path: the longest chain of operations that depend on
each other. Another row makes the same calls one after another, as example scripts do.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cloud.deploying import ImagesDouble
from tests.standins.aws import REAL, Aws, aws_standin
from voicecore.aws.login import AwsLogin
from voicecore.cloud.deploy.parts.agent_state import DesiredAgent
from voicecore.cloud.deploy.parts.shared_stacks import CurrentShared, desired_shared
from voicecore.cloud.stacks.agent_stack import ENDPOINT, RUNTIME
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.stack import Stack, references
from voicecore.commands import deploy
from voicecore.commands.project import init
from voicecore.commands.releases import rollback
from voicecore.console.context import Context
from voicecore.console.output import Output
from voicecore.options.deploy import DeployOptions
from voicecore.options.project.init import InitOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.project.project import load_project

COLD, WARM = 15.0, 3.0
"""Seconds to build and push, the first time and after an edit, from `benchmarks.image`."""

# Seconds of some resources, in addition to the seconds of any resource.
_EXTRA = {
    "AWS::EC2::NatGateway": REAL.nat_gateway,
    "AWS::BedrockAgentCore::Runtime": REAL.runtime,
    "AWS::BedrockAgentCore::RuntimeEndpoint": REAL.endpoint,
}


def chain(stack: Stack, only: tuple[str, ...] = ()) -> float:
    """Return the seconds of the longest chain of references among all or `only` some resources."""
    resources = {n: r for n, r in stack.resources.items() if not only or n in only}

    def end(name: str) -> float:
        resource = resources[name]
        before = references(resource.get("Properties", {})) | set(resource.get("DependsOn", ()))
        seconds = REAL.resource + _EXTRA.get(resource["Type"], 0.0)
        return seconds + max((end(n) for n in before if n in resources), default=0.0)

    return max(map(end, resources))


@contextlib.contextmanager
def project() -> Iterator[Path]:
    """Create a project with a network of its own."""
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Path(folder), {}, Output(io.StringIO(), io.StringIO()), False)
        init.run(context, InitOptions(name="line", pipeline="nova-sonic", yes=True))
        root = Path(folder) / "line"
        settings = root / "voicecore.toml"
        settings.write_text(f'network = "vpc"\n{settings.read_text()}')
        yield root


def measure_deploy(aws: Aws, root: Path, build: float) -> tuple[float, int]:
    """Deploy, and return the seconds and the number of calls."""
    images = ImagesDouble(seconds=build)
    return measure(
        aws, lambda: deploy.run(quiet(root), DeployOptions(yes=True), AwsLogin(), images)
    )


def measure_rollback(aws: Aws, root: Path) -> tuple[float, int]:
    """Move callers back a version, and return the seconds and the number of calls."""
    return measure(aws, lambda: rollback.run(quiet(root), RollbackOptions(yes=True)))


def measure(aws: Aws, command: Callable[[], object]) -> tuple[float, int]:
    """Return the seconds of a command and its number of calls."""
    aws.journal.clear()
    started = time.monotonic()
    command()
    return time.monotonic() - started, sum(entry.by == "client" for entry in aws.journal)


def quiet(root: Path) -> Context:
    """Return a context whose output is not shown."""
    return Context(root, {}, Output(io.StringIO(), io.StringIO()), False)


def one_after_another(aws: Aws, build: float) -> float:
    """Return the seconds of the same calls in the order of example scripts by Pipecat."""
    ec2, iam = aws.client("ec2"), aws.client("iam")
    control = aws.client("bedrock-agentcore-control")
    started = time.monotonic()
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)

    def subnet(cidr: str, zone: str, **route: str) -> str:
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZoneId=zone)["Subnet"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **route)
        ec2.associate_route_table(RouteTableId=table, SubnetId=made["SubnetId"])
        return made["SubnetId"]

    public = subnet("10.7.1.0/24", "use1-az1", GatewayId=gateway)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"][
        "NatGatewayId"
    ]
    until(lambda: ec2.describe_nat_gateways(NatGatewayIds=[nat])["NatGateways"][0]["State"],
          "available")  # fmt: skip
    subnets = [subnet(f"10.7.{n}.0/24", f"use1-az{n - 10}", NatGatewayId=nat) for n in (11, 12)]
    group = ec2.create_security_group(GroupName="s", Description="s", VpcId=vpc)["GroupId"]
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"Service":"bedrock-agentcore.amazonaws.com"}}]}'
    )
    pull = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    role = iam.create_role(RoleName="s", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName="s", PolicyName="s", PolicyDocument=pull)
    time.sleep(REAL.role_propagation)
    time.sleep(build)
    images = aws.client("ecr").describe_images(repositoryName="voicecore/line")["imageDetails"]
    host = f"{aws.caller.account}.dkr.ecr.us-east-1.amazonaws.com"
    runtime = control.create_agent_runtime(
        agentRuntimeName="s",
        agentRuntimeArtifact={
            "containerConfiguration": {
                "containerUri": f"{host}/voicecore/line@{images[0]['imageDigest']}"
            }
        },
        roleArn=role,
        networkConfiguration={
            "networkMode": "VPC",
            "networkModeConfig": {"subnets": subnets, "securityGroups": [group]},
        },
    )["agentRuntimeId"]
    until(lambda: control.get_agent_runtime(agentRuntimeId=runtime)["status"], "READY")
    return time.monotonic() - started


def until(state: Callable[[], Any], expected: str) -> None:
    """Poll every second, as the scripts do."""
    while state() != expected:
        time.sleep(1)


def main() -> None:
    """Measure, and print the rows."""
    with project() as root, aws_standin(durations=REAL) as aws:
        os.environ.update(aws.environment)
        first, first_calls = measure_deploy(aws, root, COLD)
        bot = root / "agent" / "bot.py"
        bot.write_text(f"{bot.read_text()}\n# edited\n")
        again, again_calls = measure_deploy(aws, root, WARM)
        nothing, nothing_calls = measure_deploy(aws, root, WARM)
        back, back_calls = measure_rollback(aws, root)
        scripts = one_after_another(aws, COLD)
        path = critical_path(root)
    update = 2 * REAL.resource + REAL.runtime + REAL.endpoint
    print("| | seconds | calls | against | budget |")
    print("|---|---|---|---|---|")
    print(f"| first deploy, with a VPC | {first:.1f} | {first_calls} "
          f"| its critical path, {path:.1f} s: {first / path:.2f} × | ≤ 1.15 × |")  # fmt: skip
    print(f"| the same, one call after another | {scripts:.1f} | | {scripts / first:.2f} × | |")
    print(f"| after an edit of bot.py | {again:.1f} | {again_calls} "
          f"| build, push and update, {WARM + update:.1f} s: {again - WARM - update:+.1f} s "
          "| ≤ +5 s |")  # fmt: skip
    print(f"| nothing changed | {nothing:.1f} | {nothing_calls} | | |")
    print(f"| rollback | {back:.1f} | {back_calls} "
          f"| the endpoint's own time, {REAL.endpoint:.1f} s: {back - REAL.endpoint:+.1f} s "
          "| ≤ +5 s |")  # fmt: skip


def critical_path(root: Path) -> float:
    """Return the seconds of the longest chain of a first deploy."""
    deployment = deployment_of(load_project(root))
    shared = desired_shared(deployment, ("use1-az1", "use1-az2"), CurrentShared())
    assert shared.network is not None and shared.images is not None
    image = chain(shared.images) + COLD
    stack = DesiredAgent(deployment, Environment()).stack("", None)
    return max(chain(shared.network), image) + chain(stack, (RUNTIME, ENDPOINT))


if __name__ == "__main__":
    main()

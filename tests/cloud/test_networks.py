"""Networks without a way to the internet: voicecore's own, and the user's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_deploy import changes
from tests.cloud.test_mistakes import create_network, expect_refusal, set_network
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


@pytest.fixture
def closed(vpc: Deployer) -> Deployer:
    """The project in a network of voicecore's without the internet."""
    path = vpc.root / "voicecore.toml"
    path.write_text(f"{path.read_text()}\n[vpc]\nendpoints = true\n")
    return vpc


def kinds(aws: Aws) -> dict[str, int]:
    """Return how many resources of EC2 there are, by kind."""
    found = [item.kind for item in aws.inventory()]
    return {kind: found.count(kind) for kind in found if kind.startswith("ec2:")}


def test_network_without_the_internet(
    aws: Aws, closed: Deployer, voicecore: Voicecore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = aws.inventory()
    use_exported_policies(monkeypatch, aws, closed)
    shown = closed.deploy(yes=False, dry_run=True)
    assert "+ 5 VPC endpoints" in shown.stderr and "+$73.00 a month" in shown.stderr
    assert "NAT gateway" not in shown.stderr
    deployed = closed.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert kinds(aws)["ec2:vpc-endpoint"] == 6
    assert not {"ec2:natgateway", "ec2:internet-gateway", "ec2:elastic-ip"} & set(kinds(aws))
    (stage,) = voicecore("status", "--json", cwd=closed.root).json["stages"]
    assert "VPCEndpoint × 5 (network, all stages)" in [i["what"] for i in stage["cost"]["items"]]
    all_stages = voicecore("status", "--all", "--json").json["found"]
    assert sum(each["dollars_per_month"] for each in all_stages) == pytest.approx(73.0)

    ec2 = aws.client("ec2")
    found = ec2.describe_vpc_endpoints(
        Filters=[{"Name": "service-name", "Values": ["com.amazonaws.us-east-1.bedrock-runtime"]}]
    )["VpcEndpoints"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[found[0]["VpcEndpointId"]])
    restored = closed.deploy()
    assert "+ VPC endpoint: deleted by hand" in restored.stderr
    assert restored.code == ExitCode.OK, restored.stderr
    assert kinds(aws)["ec2:vpc-endpoint"] == 6
    assert "nothing was changed" in closed.deploy().stderr
    assert closed.destroy(network=True).code == ExitCode.OK
    left = {item for item in aws.inventory() - before if item.kind != "ec2:network-interface"}
    assert not left
    expect_granted(aws, closed, "agent-endpoints")


def test_nat_gateway_and_endpoints_replace_each_other(aws: Aws, closed: Deployer) -> None:
    path = closed.root / "voicecore.toml"
    with_endpoints = path.read_text()
    path.write_text(with_endpoints.replace("endpoints = true", "ha = true"))
    assert closed.deploy().code == ExitCode.OK
    subnets = kinds(aws)["ec2:subnet"]
    path.write_text(with_endpoints)
    planned = closed.deploy(yes=False, dry_run=True)
    assert "- 2 NAT gateways" in planned.stderr and "+ 5 VPC endpoints" in planned.stderr
    assert closed.deploy().code == ExitCode.OK
    assert kinds(aws)["ec2:subnet"] == subnets - 2  # the public ones
    assert "ec2:natgateway" not in kinds(aws)
    path.write_text(with_endpoints.replace("endpoints = true", ""))
    assert closed.deploy().code == ExitCode.OK
    assert kinds(aws)["ec2:natgateway"] == 1
    assert kinds(aws)["ec2:vpc-endpoint"] == 1


def test_endpoints_are_refused_for_third_parties(aws: Aws, closed: Deployer) -> None:
    path = closed.root / "voicecore.toml"
    path.write_text(path.read_text().replace('"websocket"', '"websocket", "webrtc"'))
    refused = closed.deploy()
    assert refused.code == ExitCode.BAD_PROJECT
    assert "vpc.endpoints: leaves no way to the internet" in refused.stderr
    assert "a TURN relay" in refused.stderr
    assert changes(aws) == []


def test_ha_is_refused_with_endpoints(aws: Aws, closed: Deployer) -> None:
    refused = closed.deploy(ha=True)
    assert refused.code == ExitCode.USAGE
    assert "--ha adds a NAT gateway" in refused.stderr


def add_endpoints(aws: Aws, subnet: str, *names: str) -> None:
    """Create VPC endpoints in the VPC of a subnet."""
    ec2 = aws.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    own = [{"Name": "association.subnet-id", "Values": [subnet]}]
    table = ec2.describe_route_tables(Filters=own)["RouteTables"][0]["RouteTableId"]
    for name in names:
        more: dict[str, Any] = {"VpcEndpointType": "Gateway", "RouteTableIds": [table]}
        if name != "s3":
            more = {
                "VpcEndpointType": "Interface",
                "SubnetIds": [subnet],
                "PrivateDnsEnabled": True,
            }
        ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.us-east-1.{name}", **more)


def test_own_subnets_with_endpoints_alone(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subnet, group = create_network(aws, "use1-az1", public=False)
    set_network(deployer, subnet, group)
    use_exported_policies(monkeypatch, aws, deployer)
    ec2 = aws.client("ec2")
    for gateway in ec2.describe_nat_gateways()["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    aws.journal.clear()
    expect_refusal(deployer.deploy(), "leads nowhere: nat-", "bedrock-runtime, s3", "--skip-check")
    assert changes(aws) == []
    skipped = deployer.deploy(skip_check=("network",), dry_run=True)
    assert skipped.code == ExitCode.OK
    assert "network: skipped by --skip-check" in skipped.stderr
    add_endpoints(aws, subnet, "bedrock-runtime", "logs", "ecr.api", "ecr.dkr", "sts", "s3")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    (deployer.root / "agent/.env").write_text("MY_KEY=hidden\n")
    expect_refusal(deployer.deploy(), "no VPC endpoints for secretsmanager")
    add_endpoints(aws, subnet, "secretsmanager")
    assert deployer.deploy().code == ExitCode.OK


def test_unknown_check_is_refused_before_anything(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.deploy(skip_check=("netwrok",))
    assert refused.code == ExitCode.USAGE
    assert "'netwrok' is not a preflight check; did you mean 'network'?" in refused.stderr

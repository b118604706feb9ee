"""What of a stage was deleted by hand is seen by the next deploy, and created again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_deploy import changes
from tests.conftest import Voicecore
from tests.e2e.standins.test_aws_ecs_stack import ZONES, apply_stack, server_stack
from tests.standins.aws import Aws
from tests.unit.cloud.deployments import phone_deployment
from voicecore.aws.login import AwsLogin
from voicecore.cloud.observe.drift import drift_of
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.missing import missing_resources
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.console.errors import ExitCode
from voicecore.project.project import load_project


def drift(aws: Aws, deployer: Deployer, *stacks: str) -> list[str]:
    """Return how the stacks differ from what stands, as CloudFormation sees it."""
    owner = load_project(deployer.root).owner
    cloud = CloudFormation(aws.client("cloudformation"), owner, "again")
    found = [cloud.find(f"voicecore-line-{stack}") for stack in stacks]
    return [*drift_of(AwsLogin().open("us-east-1"), filter(None, found), aws.clock.sleep)]


def examined_server(aws: Aws, of: Deployment) -> tuple[CloudFormation, DeployedStack]:
    """Return the stack of a stage's server, compared with what stands."""
    cloud = CloudFormation(
        aws.client("cloudformation"),
        of.owner,
        "again",
        aws.clock.sleep,
        find_missing=partial(missing_resources, AwsLogin().open("us-east-1")),
    )
    found = cloud.find(SERVER)
    assert found
    return cloud, cloud.examined(found)


def delete_role(aws: Aws) -> None:
    iam = aws.client("iam")
    role = "voicecore-line-dev-us-east-1"
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    iam.delete_role(RoleName=role)


def delete_endpoint(aws: Aws) -> None:
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    control.delete_agent_runtime_endpoint(agentRuntimeId=found, endpointName="dev")


def delete_nat(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    for nat in ec2.describe_nat_gateways()["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])


def release_addresses(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    for address in ec2.describe_addresses()["Addresses"]:
        ec2.release_address(AllocationId=address["AllocationId"])


def delete_repository(aws: Aws) -> None:
    aws.client("ecr").delete_repository(repositoryName="voicecore/line", force=True)


def delete_secret(aws: Aws) -> None:
    aws.client("secretsmanager").delete_secret(
        SecretId="voicecore/line/dev", ForceDeleteWithoutRecovery=True
    )


def delete_routes(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    for table in ec2.describe_route_tables()["RouteTables"]:
        for route in table["Routes"]:
            if "NatGatewayId" in route:
                ec2.delete_route(
                    RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0"
                )


def delete_log_groups(aws: Aws) -> None:
    logs = aws.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])


DELETIONS: list[tuple[str, list[Callable[[Aws], None]], tuple[str, ...], tuple[str, ...]]] = [
    ("role", [delete_role], ("execution role",), ("Role of voicecore-line-dev",)),
    (
        "nat",
        [delete_nat, release_addresses, delete_routes],
        ("NAT gateway", "public address", "2 routes"),
        ("Nat1 of voicecore-line-network", "Route2 of voicecore-line-network"),
    ),
    (
        "several",
        [
            delete_role,
            delete_endpoint,
            delete_secret,
            delete_repository,
            delete_nat,
            delete_log_groups,
        ],
        ("execution role", "endpoint", "secret", "image repository", "NAT gateway"),
        (
            "Endpoint of voicecore-line-dev",
            "Secret of voicecore-line-dev",
            "Repository of voicecore-line-images",
            "-dev",  # the end of a log group's name
        ),
    ),
]


@pytest.mark.parametrize(
    ("deletions", "kinds", "names"),
    [each[1:] for each in DELETIONS],
    ids=[each[0] for each in DELETIONS],
)
def test_resources_deleted_by_hand_are_seen_and_restored(
    aws: Aws,
    vpc: Deployer,
    voicecore: Voicecore,
    deletions: list[Callable[[Aws], None]],
    kinds: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    (vpc.root / "agent" / ".env").write_text("MY_API_KEY=hidden\n")
    assert vpc.deploy().code == ExitCode.OK
    for delete in deletions:
        delete(aws)
    stacks = ("dev", "network", "images")
    assert any("was deleted" in each for each in drift(aws, vpc, *stacks))
    status = voicecore("status", cwd=vpc.root).stdout
    for name in names:
        assert f"{name} was deleted" in status, status
    assert "to restore what was deleted, run:  voicecore deploy" in status
    aws.journal.clear()
    shown = vpc.deploy(yes=False, dry_run=True)
    for kind in kinds:
        assert f"+ {kind}: deleted by hand" in shown.stderr
    assert changes(aws) == []

    deployed = vpc.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    lost = "-dev does not exist. This deploy creates it."
    assert (lost in deployed.stderr) == (delete_log_groups in deletions)
    assert drift(aws, vpc, *stacks) == []
    (stage,) = voicecore("status", "--json", cwd=vpc.root).json["stages"]
    assert stage["deleted"] == stage["drift"] == []
    assert "nothing was changed" in vpc.deploy().stderr
    value = aws.client("secretsmanager").get_secret_value(SecretId="voicecore/line/dev")
    assert "hidden" in value["SecretString"]
    gone = vpc.destroy(network=True)
    assert gone.code == ExitCode.OK, gone.stderr


SERVER = "voicecore-support-line-dev-server"


def delete_balancer(aws: Aws) -> None:
    elb = aws.client("elbv2")
    arn = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    elb.delete_load_balancer(LoadBalancerArn=arn)


def delete_server_role(aws: Aws) -> None:
    iam = aws.client("iam")
    role = "vc-support-line-dev-server-us-east-1"
    iam.delete_role_policy(RoleName=role, PolicyName="server")
    iam.delete_role(RoleName=role)


def delete_rest(aws: Aws) -> None:
    aws.client("logs").delete_log_group(logGroupName=f"/ecs/{SERVER}")
    aws.client("dynamodb").delete_table(TableName=SERVER)
    autoscaling = aws.client("application-autoscaling")
    autoscaling.delete_scaling_policy(
        PolicyName="calls", ServiceNamespace="ecs", ResourceId=f"service/{SERVER}/{SERVER}",
        ScalableDimension="ecs:service:DesiredCount",
    )  # fmt: skip
    aws.client("ecs").delete_service(cluster=SERVER, service=SERVER, force=True)


@pytest.mark.parametrize(
    ("delete", "missing"),
    [
        (delete_balancer, {"LoadBalancer", "Listener", "FromCloudFront"}),
        (delete_server_role, {"TaskRole"}),
        (delete_rest, {"Log", "SessionTable", "ByCalls", "Service"}),
    ],
    ids=["load balancer", "role", "log, table, service"],
)
def test_server_is_restored_and_keeps_its_url(
    aws: Aws, delete: Callable[[Aws], None], missing: set[str]
) -> None:
    of = phone_deployment()
    network = apply_stack(aws, network_stack(of, ZONES))
    outputs = apply_stack(aws, server_stack(of, network, "1"))
    delete(aws)
    cloud, examined = examined_server(aws, of)
    assert {each.logical for each in examined.missing} >= missing
    restored = cloud.restore(examined, lambda _: None)
    assert restored
    assert restored.outputs == outputs
    restored = cloud.apply(server_stack(of, network, "1"), restored, lambda _: None)
    left = drift_of(AwsLogin().open("us-east-1"), [restored], aws.clock.sleep)
    assert not [each for each in left if "was deleted" in each]
    assert cloud.examined(restored).missing == ()


def test_restoring_refuses_to_replace_other_resources(aws: Aws) -> None:
    of = phone_deployment()
    network = apply_stack(aws, network_stack(of, ZONES))
    apply_stack(aws, server_stack(of, network, "1"))
    front = aws.client("cloudfront")
    (made,) = front.list_distributions()["DistributionList"]["Items"]
    front.delete_distribution(Id=made["Id"], IfMatch=front.get_distribution(Id=made["Id"])["ETag"])
    cloud, examined = examined_server(aws, of)
    with pytest.raises(StackFailed, match=r"replacing .*Service") as error:
        cloud.restore(examined, lambda _: None)
    assert f"delete-stack --stack-name {SERVER}" in str(error.value.hint)

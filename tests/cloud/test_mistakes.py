"""Mistakes are found before anything is created, or explained where they happen."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cloud.deploying import Deployer, use_offline
from tests.cloud.test_deploy import changes, edit
from tests.conftest import Result
from tests.standins.aws import Aws
from voicecore.cloud.deploy.parts.image_build import BuildableImage
from voicecore.console.errors import ExitCode
from voicecore.image.inputs.lockfile import BadLock
from voicecore.project.project import Project


def expect_refusal(result: Result, *texts: str, code: ExitCode = ExitCode.AWS_REFUSED) -> None:
    """Check that a command failed with this exit code and all these texts."""
    assert result.code == code, result.stderr
    for text in texts:
        assert text in result.stderr


def prepend_setting(deployer: Deployer, text: str) -> None:
    path = deployer.root / "voicecore.toml"
    path.write_text(f"{text}\n{path.read_text()}")


def test_deploy_without_credentials(
    deployer: Deployer, monkeypatch: pytest.MonkeyPatch, aws: Aws
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    expect_refusal(deployer.deploy(), "No AWS credentials were found", "export AWS_PROFILE=")


def test_deploy_with_unknown_profile(deployer: Deployer, aws: Aws) -> None:
    expect_refusal(deployer.deploy(profile="wrok"), "wrok", "Known profiles: none.")


def test_deploy_with_expired_credentials(aws: Aws, deployer: Deployer) -> None:
    aws.faults.expired = True
    expect_refusal(deployer.deploy(), "credentials have expired", "voicecore deploy")


def test_credentials_expire_during_a_deploy(aws: Aws, deployer: Deployer) -> None:
    def expire() -> None:
        aws.faults.expired = True

    aws.faults.after_calls(25, expire, lose=False)
    expect_refusal(deployer.deploy(), "credentials have expired", "continues there")
    aws.faults.clear()
    assert deployer.deploy().code == ExitCode.OK


def test_deploy_to_another_account_than_the_projects(aws: Aws, deployer: Deployer) -> None:
    prepend_setting(deployer, 'account = "999999999999"')
    expect_refusal(deployer.deploy(), "123456789012", "999999999999", "export AWS_PROFILE=")
    assert changes(aws) == []


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ("us-est-1", "did you mean 'us-east-1'?"),
        ("me-central-1", "is not a region of AgentCore Runtime"),
        ("eu-west-1", "lacks Amazon Nova 2.5 Sonic"),
    ],
)
def test_deploy_to_an_impossible_region(
    aws: Aws, deployer: Deployer, region: str, text: str
) -> None:
    expect_refusal(deployer.deploy(region=region), text, code=ExitCode.USAGE)
    path = deployer.root / "voicecore.toml"
    path.write_text(path.read_text().replace("us-east-1", region))
    expect_refusal(deployer.deploy(), text, "line ", code=ExitCode.BAD_PROJECT)
    assert not list(aws.journal)


def test_deploy_of_a_transport_that_the_project_lacks(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.deploy(transport="webrtc")
    expect_refusal(refused, "it has websocket", "voicecore add webrtc", code=ExitCode.USAGE)


def test_deploy_of_a_stage_that_the_project_lacks(aws: Aws, deployer: Deployer) -> None:
    expect_refusal(deployer.deploy(stage="prod"), "[stages.prod]", code=ExitCode.BAD_PROJECT)
    invalid = deployer.deploy(stage="Prod")
    expect_refusal(
        invalid, "A stage cannot be named 'Prod': it must be a-z", code=ExitCode.BAD_PROJECT
    )


@pytest.mark.parametrize(
    "action", ["ecr:CreateRepository", "iam:CreateRole", "cloudformation:CreateStack"]
)
def test_missing_permission_is_reported_with_the_statement_that_grants_it(
    aws: Aws, deployer: Deployer, action: str
) -> None:
    aws.faults.deny(action)
    expect_refusal(
        deployer.deploy(), f'"Action": "{action}"', "Add this statement", "voicecore deploy"
    )
    aws.faults.clear()
    assert deployer.deploy().code == ExitCode.OK


def test_permissions_that_iam_simulates_as_missing_are_reported_before_a_deploy(
    aws: Aws, deployer: Deployer
) -> None:
    aws.faults.deny("iam:PassRole")
    assert "lacks iam:PassRole" in deployer.deploy(yes=False, dry_run=True).stderr


@dataclass(frozen=True)
class RefusedFiles:
    """Images whose files are refused."""

    def plan(self, project: Project, repository: str, part: str) -> BuildableImage:
        raise BadLock(f"{part}/uv.lock is out of date.", "uv lock", ExitCode.BAD_PROJECT)


@pytest.mark.parametrize("yes", [True, False])
def test_refused_files_hide_no_failed_check(aws: Aws, deployer: Deployer, yes: bool) -> None:
    refused = deployer.with_images(RefusedFiles())
    expect_refusal(refused.deploy(yes=yes), "uv.lock", code=ExitCode.BAD_PROJECT)
    prepend_setting(deployer, 'service_role = "arn:aws:iam::123456789012:role/none"')
    expect_refusal(
        refused.deploy(yes=yes, dry_run=not yes),
        "2 preflight checks failed",
        "role/none does not exist",
        "image: agent/uv.lock is out of date.",
        "voicecore deploy --dry-run --skip-check" if not yes else "voicecore deploy --skip-check",
    )
    assert changes(aws) == []


def test_preflight_checks_without_permission_do_not_stop_a_deploy(
    aws: Aws, deployer: Deployer
) -> None:
    aws.faults.deny("servicequotas:*", "bedrock:*", "iam:Simulate*")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "could not be checked" in deployed.stderr


@pytest.mark.parametrize(
    ("service", "code", "text"),
    [
        ("ec2", "L-0263D0A3", "Elastic IP addresses: 0 of 0 are used"),
        ("vpc", "L-F678F1CE", "VPCs: "),
        ("bedrock-agentcore", "L-3E5722B2", "the quota is 0 in this region"),
        ("bedrock-agentcore", "L-F4575653", "AgentCore runtimes: 0 of 0"),
    ],
)
def test_full_quota_stops_a_deploy(
    aws: Aws, vpc: Deployer, service: str, code: str, text: str
) -> None:
    aws.set_quota(service, code, 0)
    increase = f"request-service-quota-increase --service-code {service} --quota-code {code}"
    expect_refusal(vpc.deploy(), text, increase, "nothing was changed")
    assert changes(aws) == []


def create_network(aws: Aws, zone: str, public: bool) -> tuple[str, str]:
    """Create a VPC of the user; return a subnet, and a group that allows all outbound traffic."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": True})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24", AvailabilityZoneId=zone)
    subnet = subnet["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    route: dict[str, Any] = {"GatewayId": gateway}
    if not public:
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)
        route = {"NatGatewayId": nat["NatGateway"]["NatGatewayId"]}
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **route)
    group = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    return subnet, group


def set_network(deployer: Deployer, subnet: str, group: str) -> None:
    path = deployer.root / "voicecore.toml"
    given = f'[vpc]\nsubnets = ["{subnet}"]\nsecurity_groups = ["{group}"]\n'
    path.write_text(f'network = "vpc"\n{path.read_text()}\n{given}')


@pytest.mark.parametrize(
    ("zone", "public", "text"),
    [
        ("use1-az3", False, "is in zone use1-az3, which AgentCore does not support"),
        ("use1-az1", True, "is a public subnet"),
    ],
)
def test_unsuitable_subnets_are_refused(
    aws: Aws, deployer: Deployer, zone: str, public: bool, text: str
) -> None:
    set_network(deployer, *create_network(aws, zone, public))
    aws.journal.clear()
    expect_refusal(deployer.deploy(), text)
    assert changes(aws) == []


def test_missing_subnets_are_refused(aws: Aws, deployer: Deployer) -> None:
    set_network(deployer, "subnet-0123456789abcdef0", "sg-0123456789abcdef0")
    expect_refusal(
        deployer.deploy(), "[vpc] lists subnets or groups that do not exist in us-east-1"
    )


def test_users_subnets_are_used_and_kept_by_destroy(aws: Aws, deployer: Deployer) -> None:
    subnet, group = create_network(aws, "use1-az1", public=False)
    set_network(deployer, subnet, group)
    before = aws.inventory()
    deployed = deployer.deploy(json=True)
    assert deployed.code == ExitCode.OK, deployed.stderr
    parameters = json.loads(deployed.stdout)["stack"]["parameters"]
    assert (parameters["Subnets"], parameters["SecurityGroups"]) == (subnet, group)
    assert deployer.destroy().code == ExitCode.OK
    left = {thing for thing in aws.inventory() - before if thing.kind != "ec2:network-interface"}
    assert not left
    assert before <= aws.inventory()


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("Architecture incompatible for uri. Supported architectures: [arm64]", "linux/arm64"),
        ("Image size 3.1 GB exceeds the limit of 2 GB", "agent/pyproject.toml"),
        ("Runtime initialization time exceeded", "voicecore dev"),
    ],
)
def test_image_that_agentcore_rejects_is_reported_with_a_fix(
    aws: Aws, deployer: Deployer, reason: str, fix: str
) -> None:
    aws.faults.fail_runtime(reason)
    expect_refusal(deployer.deploy(), reason, fix, "voicecore deploy")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_ACCESS_KEY_ID would override"),
        (f"LOG_LEVEL={'x' * 2000}\nWHISPER_MODEL={'y' * 2040}\nPIPER_VOICE={'z' * 100}", "bytes"),
    ],
)
def test_environment_that_cannot_be_deployed_is_refused(
    aws: Aws, deployer: Deployer, line: str, text: str
) -> None:
    (deployer.root / "agent" / ".env").write_text(line)
    refused = deployer.deploy()
    expect_refusal(refused, text, "agent/.env", code=ExitCode.BAD_PROJECT)
    assert "AKIA" not in refused.stderr
    assert changes(aws) == []


def test_name_of_a_foreign_resource_is_refused(aws: Aws, deployer: Deployer) -> None:
    aws.client("ecr").create_repository(repositoryName="voicecore/line")
    aws.journal.clear()
    expect_refusal(deployer.deploy(), "a repository named voicecore/line exists")
    assert changes(aws) == []


def test_foreign_stack_is_not_changed(aws: Aws, deployer: Deployer) -> None:
    template = {"Resources": {"R": {"Type": "AWS::ECR::Repository"}}}
    aws.client("cloudformation").create_stack(
        StackName="voicecore-line-dev", TemplateBody=json.dumps(template)
    )
    expect_refusal(deployer.deploy(), "voicecore did not create it")


def test_platform_that_the_region_may_lack_is_tried(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "sa-east-1")  # where images are
    settings = use_offline(deployer.root, region="sa-east-1")
    tried = deployer.deploy()
    assert "AWS has not published that sa-east-1 has platform v2" in tried.stderr
    expect_refusal(tried, "V2 is not supported in region sa-east-1", 'Set platform = "v1"')
    settings.write_text(settings.read_text().replace('platform = "v2"', 'platform = "v1"'))
    again = deployer.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_deploy_with_a_wrong_clock(aws: Aws, deployer: Deployer) -> None:
    aws.faults.skew = 1200
    expect_refusal(deployer.deploy(), "clock is 20 minutes behind", "NTP")


def test_deploy_while_aws_does_not_answer(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    aws.faults.down = True
    expect_refusal(deployer.deploy(), "AWS does not answer", "voicecore deploy")


def test_lost_and_throttled_calls_are_retried(aws: Aws, deployer: Deployer) -> None:
    for pattern in ("cloudformation:CreateStack", "cloudformation:UpdateStack"):
        aws.faults.reset(pattern, times=1, after=True)
    aws.faults.reset("cloudformation:Describe*", times=3)
    aws.faults.throttle("cloudformation:Describe*", times=3)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


def test_update_that_completes_before_its_retry(aws: Aws, deployer: Deployer) -> None:
    cloudformation = aws.client("cloudformation")

    def wait_for_update() -> None:
        cloudformation.get_waiter("stack_update_complete").wait(
            StackName="voicecore-line-dev", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )

    aws.faults.after_calls(1, wait_for_update, of="cloudformation:UpdateStack")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


FAILURES: list[tuple[str, Callable[[Aws], None]]] = [
    ("network", lambda aws: aws.faults.fail_resource("AWS::EC2::NatGateway", "no capacity")),
    ("role", lambda aws: aws.faults.fail_resource("AWS::IAM::Role", "no such luck")),
    ("images", lambda aws: aws.faults.fail_resource("AWS::ECR::Repository", "not now")),
    ("endpoint", lambda aws: aws.faults.fail_resource("Endpoint", "not now")),
]


@pytest.mark.parametrize(("what", "break_it"), FAILURES, ids=[f[0] for f in FAILURES])
def test_failed_resource_is_reported_and_created_by_the_next_deploy(
    aws: Aws, vpc: Deployer, what: str, break_it: Callable[[Aws], None]
) -> None:
    break_it(aws)
    expect_refusal(vpc.deploy(), "ended in", "Then run:  voicecore deploy")
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_failed_rollback_is_finished_by_the_next_deploy(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    edit(deployer)
    aws.faults.fail_resource("Runtime", "broken", times=2, during="UPDATE")
    expect_refusal(deployer.deploy(), "UPDATE_ROLLBACK_FAILED", "broken")
    again = deployer.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_destroy_of_a_stage_that_is_not_deployed(aws: Aws, deployer: Deployer) -> None:
    nothing = deployer.destroy()
    assert nothing.code == ExitCode.OK
    assert (
        "Nothing to delete: account 123456789012, us-east-1 has no stacks of line · dev."
        in nothing.stderr
    )
    assert changes(aws) == []


def test_destroy_in_an_unknown_region_is_refused(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.destroy(region="us-est-1")
    expect_refusal(refused, "Did you mean 'us-east-1'?", code=ExitCode.USAGE)
    assert not list(aws.journal)


def test_destroy_refuses_network_options_that_exclude_each_other(
    aws: Aws, deployer: Deployer
) -> None:
    refused = deployer.destroy(network=True, only_network=True)
    expect_refusal(refused, "--only-network", code=ExitCode.USAGE)

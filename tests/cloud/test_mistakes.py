"""What goes wrong is found before anything is made, or explained where it happens."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_life import changes, edit
from tests.conftest import Result
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


def is_refused(result: Result, *said: str, code: ExitCode = ExitCode.AWS_REFUSED) -> None:
    assert result.code == code, result.stderr
    for words in said:
        assert words in result.stderr


def set_in(deployer: Deployer, text: str) -> None:
    path = deployer.root / "voicecore.toml"
    path.write_text(f"{text}\n{path.read_text()}")


def test_no_credentials(deployer: Deployer, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    is_refused(deployer.deploy(), "No AWS credentials were found", "export AWS_PROFILE=")


def test_a_profile_that_does_not_exist(deployer: Deployer, aws: Aws) -> None:
    is_refused(deployer.deploy(profile="wrok"), "wrok", "Known profiles: none")


def test_expired_credentials(aws: Aws, deployer: Deployer) -> None:
    aws.faults.expired = True
    is_refused(deployer.deploy(), "credentials have expired", "voicecore deploy")


def test_credentials_that_expire_on_the_way(aws: Aws, deployer: Deployer) -> None:
    def expire() -> None:
        aws.faults.expired = True

    aws.faults.after_calls(25, expire, lose=False)
    is_refused(deployer.deploy(), "credentials have expired", "continues there")
    aws.faults.clear()
    assert deployer.deploy().code == ExitCode.OK


def test_another_account_than_the_projects(aws: Aws, deployer: Deployer) -> None:
    set_in(deployer, 'account = "999999999999"')
    is_refused(deployer.deploy(), "123456789012", "999999999999", "export AWS_PROFILE=")
    assert changes(aws) == []


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("us-est-1", "did you mean 'us-east-1'?"),
        ("me-central-1", "is not a region of AgentCore Runtime"),
        ("eu-west-1", "lacks a model of pipeline 'nova-sonic'"),
    ],
)
def test_a_region_that_cannot_be(aws: Aws, deployer: Deployer, region: str, said: str) -> None:
    is_refused(deployer.deploy(region=region), said, code=ExitCode.USAGE)
    path = deployer.root / "voicecore.toml"
    path.write_text(path.read_text().replace("us-east-1", region))
    is_refused(deployer.deploy(), said, "line ", code=ExitCode.BAD_PROJECT)
    assert not list(aws.journal)


def test_a_transport_that_the_project_lacks(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.deploy(transport="webrtc")
    is_refused(refused, "it has websocket", "voicecore add webrtc", code=ExitCode.USAGE)


def test_a_stage_that_the_project_lacks(aws: Aws, deployer: Deployer) -> None:
    is_refused(deployer.deploy(stage="prod"), "[stages.prod]", code=ExitCode.BAD_PROJECT)
    never = deployer.deploy(stage="Prod")
    is_refused(never, "A stage cannot be named 'Prod': it must be a-z", code=ExitCode.BAD_PROJECT)


@pytest.mark.parametrize(
    "action", ["ecr:CreateRepository", "iam:CreateRole", "cloudformation:CreateStack"]
)
def test_a_missing_permission(aws: Aws, deployer: Deployer, action: str) -> None:
    aws.faults.deny(action)
    is_refused(deployer.deploy(), f'"Action": "{action}"', "Add this statement", "voicecore deploy")
    aws.faults.clear()
    assert deployer.deploy().code == ExitCode.OK


def test_permissions_that_iam_says_are_missing_are_told_before(
    aws: Aws, deployer: Deployer
) -> None:
    aws.faults.deny("iam:PassRole")
    assert "may not do iam:PassRole" in deployer.deploy(yes=False, dry_run=True).stderr


def test_checks_that_may_not_be_made_stop_nothing(aws: Aws, deployer: Deployer) -> None:
    aws.faults.deny("servicequotas:*", "bedrock:*", "iam:Simulate*")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "could not be checked" in deployed.stderr


@pytest.mark.parametrize(
    ("service", "code", "said"),
    [
        ("ec2", "L-0263D0A3", "Elastic IP addresses: 0 of 0 are used"),
        ("vpc", "L-F678F1CE", "VPCs: "),
        ("bedrock-agentcore", "L-3E5722B2", "this account may have none"),
        ("bedrock-agentcore", "L-F4575653", "AgentCore runtimes: 0 of 0"),
    ],
)
def test_a_quota_that_is_full(aws: Aws, vpc: Deployer, service: str, code: str, said: str) -> None:
    aws.set_quota(service, code, 0)
    increase = f"request-service-quota-increase --service-code {service} --quota-code {code}"
    is_refused(vpc.deploy(), said, increase, "nothing was changed")
    assert changes(aws) == []


def made_network(aws: Aws, zone: str, public: bool) -> tuple[str, str]:
    """The user's own VPC: a subnet, and a security group that lets all out."""
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


def give_network(deployer: Deployer, subnet: str, group: str) -> None:
    path = deployer.root / "voicecore.toml"
    given = f'[vpc]\nsubnets = ["{subnet}"]\nsecurity_groups = ["{group}"]\n'
    path.write_text(f'network = "vpc"\n{path.read_text()}\n{given}')


@pytest.mark.parametrize(
    ("zone", "public", "said"),
    [
        ("use1-az3", False, "is in zone use1-az3, which AgentCore does not support"),
        ("use1-az1", True, "is a public subnet"),
    ],
)
def test_given_subnets_that_will_not_do(
    aws: Aws, deployer: Deployer, zone: str, public: bool, said: str
) -> None:
    give_network(deployer, *made_network(aws, zone, public))
    aws.journal.clear()
    is_refused(deployer.deploy(), said)
    assert changes(aws) == []


def test_given_subnets_that_are_not_there(aws: Aws, deployer: Deployer) -> None:
    give_network(deployer, "subnet-0123456789abcdef0", "sg-0123456789abcdef0")
    is_refused(deployer.deploy(), "[vpc] names what is not in us-east-1")


def test_given_subnets_are_used_and_left_by_destroy(aws: Aws, deployer: Deployer) -> None:
    subnet, group = made_network(aws, "use1-az1", public=False)
    give_network(deployer, subnet, group)
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
def test_an_image_that_agentcore_refuses(
    aws: Aws, deployer: Deployer, reason: str, fix: str
) -> None:
    aws.faults.fail_runtime(reason)
    is_refused(deployer.deploy(), reason, fix, "voicecore deploy")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_ACCESS_KEY_ID would override"),
        (f"LOG_LEVEL={'x' * 2000}\nWHISPER_MODEL={'y' * 2040}\nPIPER_VOICE={'z' * 100}", "bytes"),
    ],
)
def test_an_environment_that_cannot_be(aws: Aws, deployer: Deployer, line: str, said: str) -> None:
    (deployer.root / "agent" / ".env").write_text(line)
    refused = deployer.deploy()
    is_refused(refused, said, "agent/.env", code=ExitCode.BAD_PROJECT)
    assert "AKIA" not in refused.stderr
    assert changes(aws) == []


def test_a_name_that_something_else_has(aws: Aws, deployer: Deployer) -> None:
    aws.client("ecr").create_repository(repositoryName="voicecore/line")
    aws.journal.clear()
    is_refused(deployer.deploy(), "there is a repository voicecore/line already")
    assert changes(aws) == []


def test_a_stack_of_somebody_elses(aws: Aws, deployer: Deployer) -> None:
    template = {"Resources": {"R": {"Type": "AWS::ECR::Repository"}}}
    aws.client("cloudformation").create_stack(
        StackName="voicecore-line-dev", TemplateBody=json.dumps(template)
    )
    is_refused(deployer.deploy(), "voicecore did not make it")


def by_hand(aws: Aws, change: dict[str, Any]) -> None:
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    now = control.get_agent_runtime(agentRuntimeId=found)
    kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration", "environmentVariables")
    control.update_agent_runtime(
        agentRuntimeId=found, **{k: now[k] for k in kept if k in now} | change
    )


def test_a_runtime_changed_by_hand_is_told_and_set_right(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    by_hand(aws, {"environmentVariables": {"MINE": "1"}})
    told = deployer.deploy()
    assert told.code == ExitCode.OK, told.stderr
    assert "was changed by hand: its variables are MINE" in told.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_a_runtime_deleted_by_hand_is_made_anew(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    control.delete_agent_runtime_endpoint(agentRuntimeId=found, endpointName="dev")
    control.delete_agent_runtime(agentRuntimeId=found)
    told = deployer.deploy()
    assert told.code == ExitCode.OK, told.stderr
    assert "was changed by hand: it was deleted" in told.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_mmdsv2_is_turned_on_again_without_losing_anything(aws: Aws, deployer: Deployer) -> None:
    (deployer.root / "agent" / ".env").write_text("LOG_LEVEL=DEBUG")
    deployer.deploy()
    by_hand(aws, {"metadataConfiguration": {"requireMMDSV2": False}})
    assert deployer.deploy().code == ExitCode.OK
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    runtime = control.get_agent_runtime(agentRuntimeId=found)
    assert runtime["metadataConfiguration"] == {"requireMMDSV2": True}
    assert runtime["environmentVariables"]["LOG_LEVEL"] == "DEBUG"


def test_a_clock_that_is_wrong(aws: Aws, deployer: Deployer) -> None:
    aws.faults.skew = 1200
    is_refused(deployer.deploy(), "clock is 20 minutes behind", "NTP")


def test_aws_that_does_not_answer(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    aws.faults.down = True
    is_refused(deployer.deploy(), "AWS does not answer", "voicecore deploy")


def test_lines_that_break_are_tried_again(aws: Aws, deployer: Deployer) -> None:
    for pattern in ("cloudformation:CreateStack", "cloudformation:UpdateStack"):
        aws.faults.reset(pattern, times=1, after=True)
    aws.faults.reset("cloudformation:Describe*", times=3)
    aws.faults.throttle("cloudformation:Describe*", times=3)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


def test_an_update_that_was_over_before_it_was_asked_for_again(
    aws: Aws, deployer: Deployer
) -> None:
    cloudformation = aws.client("cloudformation")

    def end() -> None:
        cloudformation.get_waiter("stack_update_complete").wait(
            StackName="voicecore-line-dev", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )

    aws.faults.after_calls(1, end, of="cloudformation:UpdateStack")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr


FAILURES: list[tuple[str, Callable[[Aws], None]]] = [
    ("network", lambda aws: aws.faults.fail_resource("AWS::EC2::NatGateway", "no capacity")),
    ("role", lambda aws: aws.faults.fail_resource("AWS::IAM::Role", "no such luck")),
    ("images", lambda aws: aws.faults.fail_resource("AWS::ECR::Repository", "not now")),
    ("endpoint", lambda aws: aws.faults.fail_resource("Endpoint", "not now")),
]


@pytest.mark.parametrize(("what", "break_it"), FAILURES, ids=[f[0] for f in FAILURES])
def test_what_fails_is_told_and_made_by_the_next_deploy(
    aws: Aws, vpc: Deployer, what: str, break_it: Callable[[Aws], None]
) -> None:
    break_it(aws)
    is_refused(vpc.deploy(), "ended in", "Then go on:  voicecore deploy")
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_an_update_that_could_not_be_taken_back_is_by_the_next_deploy(
    aws: Aws, deployer: Deployer
) -> None:
    deployer.deploy()
    edit(deployer)
    aws.faults.fail_resource("Runtime", "broken", times=2, during="UPDATE")
    is_refused(deployer.deploy(), "UPDATE_ROLLBACK_FAILED", "broken")
    again = deployer.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_destroy_of_what_is_not_there(aws: Aws, deployer: Deployer) -> None:
    nothing = deployer.destroy()
    assert nothing.code == ExitCode.OK
    assert "There is nothing of line · dev in account 123456789012, us-east-1." in nothing.stderr
    assert changes(aws) == []


def test_a_region_that_cannot_be_has_nothing_to_destroy(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.destroy(region="us-est-1")
    is_refused(refused, "Did you mean 'us-east-1'?", code=ExitCode.USAGE)
    assert not list(aws.journal)


def test_a_network_cannot_go_with_a_stage_and_alone(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.destroy(network=True, only_network=True)
    is_refused(refused, "--only-network", code=ExitCode.USAGE)

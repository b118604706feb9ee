"""CloudFormation stacks when another deploy, the network or AWS interferes."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.standins.aws_answers import ClientAnswers
from tests.standins.cloudformation_double import CloudFormationDouble, refused
from tests.unit.cloud.ensured_stacks import AGAIN, OWNER, STACK, TAGS, apply, connect, is_current
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import (
    StackOutcome,
)
from voicecore.cloud.resources.stack_failure import (
    StackBusy,
    stack_failure,
)
from voicecore.cloud.stacks.stack import Stack


class UpdatedByAnother(CloudFormationDouble):
    """Another deploy starts right before our update."""

    def update_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        self.begins(StackName, "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
        return super().update_stack(StackName, ClientRequestToken, **arguments)


def test_deploy_that_starts_right_before_ours_is_noticed() -> None:
    client = UpdatedByAnother()
    client.has(STACK.name, "CREATE_COMPLETE")
    cloud = connect(client)
    with pytest.raises(StackBusy) as error:
        cloud.apply(STACK, cloud.find(STACK.name), print)
    assert str(error.value.hint).endswith(AGAIN)


def test_outdated_plan_is_not_applied() -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, "CREATE_COMPLETE")
    cloud = connect(client)
    planned = cloud.find(STACK.name)
    client.begins(STACK.name, "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    with pytest.raises(StackBusy):
        cloud.apply(STACK, planned, print)
    client.calls.clear()
    cloud.wait(STACK.name, print)
    with pytest.raises(StackBusy):
        cloud.apply(STACK, planned, print)
    assert client.changed == []


class CreatedByAnother(CloudFormationDouble):
    """Another first deploy creates the stack right before ours."""

    def create_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        if not self.stacks:
            super().create_stack(StackName, "another's", **arguments)
        return super().create_stack(StackName, ClientRequestToken, **arguments)


def test_second_of_two_first_deploys_is_refused() -> None:
    client = CreatedByAnother()
    with pytest.raises(StackBusy):
        connect(client).apply(STACK, None, print)


def test_second_deploy_waits_for_a_shared_stack_that_the_first_creates() -> None:
    client = CreatedByAnother()
    assert connect(client).ensure(STACK, print).status == "CREATE_COMPLETE"
    assert client.changed == ["create_stack"] * 2


class LosesAnswers(CloudFormationDouble):
    """boto3 retries when an answer is lost, after the first try has done the work."""

    def update_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        super().update_stack(StackName, ClientRequestToken, **arguments)
        return super().update_stack(StackName, ClientRequestToken, **arguments)

    def create_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        super().create_stack(StackName, ClientRequestToken, **arguments)
        return super().create_stack(StackName, ClientRequestToken, **arguments)


def test_lost_answer_is_not_mistaken_for_another_deploy() -> None:
    client = LosesAnswers()
    apply(client, Stack(name=STACK.name, template={}, parameters={}, tags=TAGS))
    apply(client)
    assert is_current(client)


class LosesNetwork(CloudFormationDouble):
    """The network is lost for five questions after the stack was created."""

    lost = 0

    def describe_stack_events(self, StackName: str) -> Any:
        if "create_stack" in self.calls and self.lost < 5:
            self.lost += 1
            raise EndpointConnectionError(endpoint_url="https://cloudformation")
        return super().describe_stack_events(StackName)


def test_lost_network_is_waited_for() -> None:
    client = LosesNetwork()
    apply(client)
    assert client.lost == 5


def test_network_that_stays_lost_ends_the_wait() -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert sum(slept) < 200, "it asks for ever"

    offline = EndpointConnectionError(endpoint_url="https://cloudformation")
    client = ClientAnswers({"describe_stacks": offline})
    cloud = CloudFormation(client, OWNER, AGAIN, pause=sleep, clock=lambda: sum(slept))
    with pytest.raises(EndpointConnectionError):
        cloud.find(STACK.name)
    assert sum(slept) > 110


class RejectsTemplate(CloudFormationDouble):
    def create_stack(self, StackName: str, ClientRequestToken: str, **arguments: Any) -> Any:
        raise refused("ValidationError", "Template format error")


def test_rejected_template_raises_the_error_of_aws() -> None:
    with pytest.raises(ClientError, match="Template format error"):
        apply(RejectsTemplate())


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (
            "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: "
            "ec2:CreateVpc on resource: *",
            '"Action": "ec2:CreateVpc"',
        ),
        ("Role already exists", "outside this stack has that name"),
        ("NetworkModeConfig is required for VPC mode", "[vpc]"),
    ],
)
def test_failure_has_a_hint_that_helps(reason: str, advice: str) -> None:
    outcome = StackOutcome("ROLLBACK_COMPLETE", reason, ())
    error = stack_failure("voicecore-x-dev", outcome, AGAIN)
    assert advice in str(error.hint)
    assert str(error.hint).endswith(AGAIN)

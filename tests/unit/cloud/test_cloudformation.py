"""A stack is brought to what it should be, from every state in which AWS can hold it."""

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.standins.cloudformation_double import CloudFormationDouble, refused
from voicecore.aws.errors import AwsRefused
from voicecore.cloud.deploy.cloudformation import (
    CloudFormation,
    Ending,
    Event,
    NotOurs,
    StackBusy,
    StackFailed,
    Step,
    failed,
    next_step,
)
from voicecore.cloud.stacks.stack import Stack

AGAIN = "voicecore deploy --stage dev"
TEMPLATE = {"Resources": {"Thing": {"Type": "AWS::X::Thing"}}}
TAGS = {"voicecore:project": "x", "voicecore:stage": "dev"}
STACK = Stack(name="voicecore-x-dev", template=TEMPLATE, parameters={"Size": "1"}, tags=TAGS)

STATUSES = (
    botocore.session.get_session().get_service_model("cloudformation").shape_for("StackStatus").enum  # pyright: ignore[reportAttributeAccessIssue] - of text
)


def over(client: Any) -> CloudFormation:
    return CloudFormation(client, AGAIN, pause=lambda _: None)


def apply(client: Any, stack: Stack = STACK) -> list[Event]:
    events: list[Event] = []
    live = over(client).ensure(stack, events.append)
    assert live.name == stack.name
    return events


def is_as_wanted(client: CloudFormationDouble) -> bool:
    live = over(client).find(STACK.name)
    assert live is not None and next_step(live.status) is Step.UPDATE
    return over(client).is_same(STACK, live)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_a_next_step(status: str) -> None:
    waits = status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
    assert (next_step(status) is Step.WAIT) == waits


def test_no_stack_is_created() -> None:
    assert next_step(None) is Step.CREATE


def test_a_status_of_the_future_is_no_reason_to_change_anything() -> None:
    with pytest.raises(AwsRefused, match="HOVERING"):
        next_step("HOVERING")


@pytest.mark.parametrize("status", [s for s in STATUSES if not s.endswith("_IN_PROGRESS")])
def test_from_every_status_that_lasts_the_stack_becomes_what_it_should(status: str) -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, status)
    apply(client)
    assert is_as_wanted(client)


@pytest.mark.parametrize("status", [s for s in STATUSES if s.endswith("_IN_PROGRESS")])
def test_what_goes_on_is_waited_for_and_then_continued(status: str) -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, "CREATE_COMPLETE")
    ends = {"REVIEW_IN_PROGRESS": "REVIEW_IN_PROGRESS"}
    client.begins(STACK.name, status, ends.get(status, status.replace("_IN_PROGRESS", "_COMPLETE")))
    if "CLEANUP" in status:
        client.begins(
            STACK.name, status, status.replace("_COMPLETE_CLEANUP_IN_PROGRESS", "_COMPLETE")
        )
    apply(client)
    assert is_as_wanted(client)


def test_an_absent_stack_is_created_and_told_of() -> None:
    client = CloudFormationDouble()
    events = apply(client)
    assert [event.status for event in events] == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert client.changed == ["create_stack"]


def test_a_stack_that_is_as_it_should_be_is_not_touched() -> None:
    client = CloudFormationDouble()
    apply(client)
    client.calls.clear()
    apply(client)
    assert client.changed == []


@pytest.mark.parametrize(
    "stack",
    [
        Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "2"}, tags=TAGS),
        Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "1"}, tags=TAGS | {"a": "b"}),
        Stack(name=STACK.name, template={"Resources": {}}, parameters={"Size": "1"}, tags=TAGS),
    ],
)
def test_another_template_parameter_or_tag_is_an_update(stack: Stack) -> None:
    client = CloudFormationDouble()
    apply(client)
    client.calls.clear()
    events = apply(client, stack)
    assert [event.status for event in events] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]


def test_what_would_change_is_asked_and_nothing_of_the_question_stays() -> None:
    client = CloudFormationDouble()
    apply(client)
    cloud = over(client)
    live = cloud.find(STACK.name)
    assert live is not None
    assert cloud.changes(STACK, live) is None
    larger = Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "9"}, tags=TAGS)
    assert cloud.changes(larger, live) is not None
    assert client.change_sets == {}


def test_what_cloudformation_finds_unchanged_is_no_failure() -> None:
    client = CloudFormationDouble()
    apply(client)
    # As if CloudFormation had kept the template in other words than ours.
    client.template_shown = {"other": "words"}
    assert [event.status for event in apply(client)] == []


def test_a_failed_creation_says_the_first_cause_and_is_made_anew_by_the_next_run() -> None:
    client = CloudFormationDouble("ROLLBACK_COMPLETE")
    client.reason = "exec format error"
    with pytest.raises(StackFailed) as error:
        apply(client)
    assert "Thing (AWS::X::Thing): exec format error" in error.value.message
    assert "cancelled" not in error.value.message
    assert str(error.value.hint).endswith(AGAIN)
    apply(client)
    assert client.changed[-2:] == ["delete_stack", "create_stack"]
    assert is_as_wanted(client)


def test_a_failed_update_is_taken_back_and_tried_again_by_the_next_run() -> None:
    client = CloudFormationDouble("CREATE_COMPLETE", "UPDATE_ROLLBACK_FAILED")
    apply(client)
    larger = Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "9"}, tags=TAGS)
    with pytest.raises(StackFailed, match="UPDATE_ROLLBACK_FAILED"):
        apply(client, larger)
    client.calls.clear()
    apply(client)
    assert client.changed[0] == "continue_update_rollback"
    assert is_as_wanted(client)


def test_a_rollback_that_fails_again_ends_the_run() -> None:
    client = CloudFormationDouble("UPDATE_ROLLBACK_FAILED")
    client.has(STACK.name, "UPDATE_ROLLBACK_FAILED")
    with pytest.raises(StackFailed) as error:
        apply(client)
    assert "mend what is named above" in str(error.value.hint)


def test_a_stack_that_cannot_be_deleted_says_why() -> None:
    client = CloudFormationDouble("DELETE_FAILED")
    client.reason = "resource sg-1 has a dependent object"
    client.has(STACK.name, "ROLLBACK_COMPLETE")
    with pytest.raises(StackFailed, match="dependent object") as error:
        apply(client)
    assert "voicecore destroy --network --wait" in str(error.value.hint)


def test_a_stack_that_voicecore_did_not_make_is_left_alone() -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, "CREATE_COMPLETE", Tags=[])
    with pytest.raises(NotOurs):
        apply(client)
    assert client.changed == []


class AnotherIsQuicker(CloudFormationDouble):
    """Another deploy begins between our last look and our own beginning."""

    def update_stack(self, StackName: str, ClientRequestToken: str, **wanted: Any) -> Any:
        self.begins(StackName, "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
        return super().update_stack(StackName, ClientRequestToken, **wanted)


def test_another_deploy_in_the_last_moment_is_noticed() -> None:
    client = AnotherIsQuicker()
    client.has(STACK.name, "CREATE_COMPLETE")
    cloud = over(client)
    with pytest.raises(StackBusy) as error:
        cloud.apply(STACK, cloud.find(STACK.name), print)
    assert str(error.value.hint).endswith(AGAIN)


def test_a_plan_that_is_not_of_this_state_any_more_is_not_carried_out() -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, "CREATE_COMPLETE")
    cloud = over(client)
    planned = cloud.find(STACK.name)
    client.begins(STACK.name, "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE")
    with pytest.raises(StackBusy):
        cloud.apply(STACK, planned, print)
    client.calls.clear()
    cloud.wait(STACK.name, print)
    with pytest.raises(StackBusy):
        cloud.apply(STACK, planned, print)
    assert client.changed == []


class AnotherCreates(CloudFormationDouble):
    """Another first deploy makes the stack in the last moment."""

    def create_stack(self, StackName: str, ClientRequestToken: str, **wanted: Any) -> Any:
        if not self.stacks:
            super().create_stack(StackName, "another's", **wanted)
        return super().create_stack(StackName, ClientRequestToken, **wanted)


def test_two_first_deploys_of_a_stage_make_one_stack_and_one_of_them_says_so() -> None:
    client = AnotherCreates()
    with pytest.raises(StackBusy):
        over(client).apply(STACK, None, print)


def test_what_stages_share_is_made_by_one_of_two_and_waited_for_by_the_other() -> None:
    client = AnotherCreates()
    assert over(client).ensure(STACK, print).status == "CREATE_COMPLETE"
    assert client.changed == ["create_stack"] * 2


class AnswersGetLost(CloudFormationDouble):
    """boto3 tries again when an answer is lost; the first try has done the work."""

    def update_stack(self, StackName: str, ClientRequestToken: str, **wanted: Any) -> Any:
        super().update_stack(StackName, ClientRequestToken, **wanted)
        return super().update_stack(StackName, ClientRequestToken, **wanted)

    def create_stack(self, StackName: str, ClientRequestToken: str, **wanted: Any) -> Any:
        super().create_stack(StackName, ClientRequestToken, **wanted)
        return super().create_stack(StackName, ClientRequestToken, **wanted)


def test_a_lost_answer_is_not_taken_for_another_deploy() -> None:
    client = AnswersGetLost()
    apply(client, Stack(name=STACK.name, template={}, parameters={}, tags=TAGS))
    apply(client)
    assert is_as_wanted(client)


class NetworkComesBack(CloudFormationDouble):
    """The first questions after the execution reach nobody."""

    lost = 0

    def describe_stack_events(self, StackName: str) -> Any:
        if "create_stack" in self.calls and self.lost < 5:
            self.lost += 1
            raise EndpointConnectionError(endpoint_url="https://cloudformation")
        return super().describe_stack_events(StackName)


def test_a_network_that_comes_back_is_waited_for() -> None:
    client = NetworkComesBack()
    apply(client)
    assert client.lost == 5


class RefusesTheTemplate(CloudFormationDouble):
    def create_stack(self, StackName: str, ClientRequestToken: str, **wanted: Any) -> Any:
        raise refused("ValidationError", "Template format error")


def test_a_refused_template_is_aws_own_error() -> None:
    with pytest.raises(ClientError, match="Template format error"):
        apply(RefusesTheTemplate())


def test_deletion_is_followed_to_its_end() -> None:
    client = CloudFormationDouble()
    apply(client)
    cloud = over(client)
    live = cloud.find(STACK.name)
    assert live is not None
    cloud.delete(live, print)
    assert cloud.find(STACK.name) is None


class GoneWithoutAWord(CloudFormationDouble):
    def delete_stack(self, StackName: str, ClientRequestToken: str) -> Any:
        self.calls.append("delete_stack")
        self.stacks[StackName]["StackStatus"] = "DELETE_COMPLETE"


def test_a_proposal_that_was_never_executed_is_deleted() -> None:
    client = GoneWithoutAWord()
    client.has(STACK.name, "REVIEW_IN_PROGRESS")
    cloud = over(client)
    live = cloud.find(STACK.name)
    assert live is not None
    cloud.delete(live, print)
    assert cloud.find(STACK.name) is None


def ended(status: str, reason: str) -> Callable[[], StackFailed]:
    return lambda: failed("voicecore-x-dev", Ending(status, reason, ()), AGAIN)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (
            "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: "
            "ec2:CreateVpc on resource: *",
            '"Action": "ec2:CreateVpc"',
        ),
        ("Role already exists", "That name is taken"),
        ("NetworkModeConfig is required for VPC mode", "[vpc]"),
    ],
)
def test_a_failure_says_what_helps(reason: str, advice: str) -> None:
    error = ended("ROLLBACK_COMPLETE", reason)()
    assert advice in str(error.hint)
    assert str(error.hint).endswith(AGAIN)

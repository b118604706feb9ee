"""CloudFormation stacks reach their desired state from every status."""

from typing import Any, cast

import botocore.session
import pytest

from tests.standins.aws_answers import ClientAnswers
from tests.standins.cloudformation_double import CloudFormationDouble, refused
from tests.unit.cloud.ensured_stacks import (
    AGAIN,
    OWNER,
    STACK,
    TAGS,
    TEMPLATE,
    apply,
    connect,
    is_current,
)
from voicecore.aws.errors import AwsRefused
from voicecore.aws.ownership import ForeignResource
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import (
    NextStep,
    next_step,
)
from voicecore.cloud.resources.stack_failure import (
    StackFailed,
)
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.identity import Owner

# Any: botocore does not say that this shape is a StringShape.
SESSION = cast(Any, botocore.session.get_session())
STATUSES = SESSION.get_service_model("cloudformation").shape_for("StackStatus").enum


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_a_next_step(status: str) -> None:
    waits = status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
    assert (next_step(status) is NextStep.WAIT) == waits


def test_missing_stack_is_created() -> None:
    assert next_step(None) is NextStep.CREATE


def test_unknown_status_changes_nothing() -> None:
    with pytest.raises(AwsRefused, match="HOVERING"):
        next_step("HOVERING")


@pytest.mark.parametrize("status", [s for s in STATUSES if not s.endswith("_IN_PROGRESS")])
def test_stack_reaches_its_desired_state_from_every_lasting_status(status: str) -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, status)
    apply(client)
    assert is_current(client)


@pytest.mark.parametrize("status", [s for s in STATUSES if s.endswith("_IN_PROGRESS")])
def test_operation_in_progress_is_waited_for(status: str) -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, "CREATE_COMPLETE")
    ends = {"REVIEW_IN_PROGRESS": "REVIEW_IN_PROGRESS"}
    client.begins(STACK.name, status, ends.get(status, status.replace("_IN_PROGRESS", "_COMPLETE")))
    if "CLEANUP" in status:
        client.begins(
            STACK.name, status, status.replace("_COMPLETE_CLEANUP_IN_PROGRESS", "_COMPLETE")
        )
    apply(client)
    assert is_current(client)


def test_missing_stack_is_created_and_its_events_are_reported() -> None:
    client = CloudFormationDouble()
    events = apply(client)
    assert [event.status for event in events] == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert client.changed == ["create_stack"]


def test_current_stack_is_not_changed() -> None:
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
def test_changed_template_parameter_or_tag_is_an_update(stack: Stack) -> None:
    client = CloudFormationDouble()
    apply(client)
    client.calls.clear()
    events = apply(client, stack)
    update, cleanup = "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    assert [event.status for event in events] == [update, cleanup, "UPDATE_COMPLETE"]


def test_change_set_is_deleted_after_it_is_read() -> None:
    client = CloudFormationDouble()
    apply(client)
    cloud = connect(client)
    deployed = cloud.find(STACK.name)
    assert deployed is not None
    assert cloud.changes(STACK, deployed) is None
    larger = Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "9"}, tags=TAGS)
    assert cloud.changes(larger, deployed) is not None
    assert client.change_sets == {}


def test_update_that_changes_nothing_succeeds() -> None:
    client = CloudFormationDouble()
    apply(client)
    # As if CloudFormation had stored the template in another form.
    client.template_shown = {"another": "form"}
    assert [event.status for event in apply(client)] == []


def test_failed_creation_reports_its_first_cause_and_the_next_run_recreates_the_stack() -> None:
    client = CloudFormationDouble("ROLLBACK_COMPLETE")
    client.reason = "exec format error"
    with pytest.raises(StackFailed) as error:
        apply(client)
    assert "Thing (AWS::X::Thing): exec format error" in error.value.message
    assert "cancelled" not in error.value.message
    assert str(error.value.hint).endswith(AGAIN)
    apply(client)
    assert client.changed[-2:] == ["delete_stack", "create_stack"]
    assert is_current(client)


def test_failed_update_is_rolled_back_and_retried_by_the_next_run() -> None:
    client = CloudFormationDouble("CREATE_COMPLETE", "UPDATE_ROLLBACK_FAILED")
    apply(client)
    larger = Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "9"}, tags=TAGS)
    with pytest.raises(StackFailed, match="UPDATE_ROLLBACK_FAILED"):
        apply(client, larger)
    client.calls.clear()
    apply(client)
    assert client.changed[0] == "continue_update_rollback"
    assert is_current(client)


def test_rollback_that_fails_again_ends_the_run() -> None:
    client = CloudFormationDouble("UPDATE_ROLLBACK_FAILED")
    client.has(STACK.name, "UPDATE_ROLLBACK_FAILED")
    with pytest.raises(StackFailed) as error:
        apply(client)
    assert "fix the resources named above" in str(error.value.hint)


def test_stack_that_cannot_be_deleted_reports_why() -> None:
    client = CloudFormationDouble("DELETE_FAILED")
    client.reason = "resource sg-1 has a dependent object"
    client.has(STACK.name, "ROLLBACK_COMPLETE")
    with pytest.raises(StackFailed, match="dependent object") as error:
        apply(client)
    assert "voicecore destroy --network --wait" in str(error.value.hint)


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"DELETE_COMPLETE"}))
@pytest.mark.parametrize(
    "tags",
    [{}, {"voicecore:project": "y"}, {"voicecore:project": "x", "voicecore:id": "another"}],
    ids=["foreign", "another name", "another id"],
)
def test_stack_that_is_not_ours_is_not_changed(status: str, tags: dict[str, str]) -> None:
    client = CloudFormationDouble()
    client.has(STACK.name, status, Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    with pytest.raises(ForeignResource, match=r"voicecore-x-dev") as refused:
        apply(client)
    assert 'name = "x-2"' in str(refused.value.hint)
    assert client.changed == []


def test_deletion_is_waited_for() -> None:
    client = CloudFormationDouble()
    apply(client)
    cloud = connect(client)
    deployed = cloud.find(STACK.name)
    assert deployed is not None
    cloud.delete(deployed, print)
    assert cloud.find(STACK.name) is None


class DeletesWithoutEvent(CloudFormationDouble):
    def delete_stack(self, StackName: str, ClientRequestToken: str) -> Any:
        self.calls.append("delete_stack")
        self.stacks[StackName]["StackStatus"] = "DELETE_COMPLETE"


def test_stack_without_resources_is_deleted() -> None:
    client = DeletesWithoutEvent()
    client.has(STACK.name, "REVIEW_IN_PROGRESS")
    cloud = connect(client)
    deployed = cloud.find(STACK.name)
    assert deployed is not None
    cloud.delete(deployed, print)
    assert cloud.find(STACK.name) is None


@pytest.mark.parametrize(("id", "found"), [("3f9", True), ("other", False)])
def test_stack_under_another_name_is_found_by_the_record_in_its_template(
    id: str, found: bool
) -> None:
    client = CloudFormationDouble()
    record = {"stack": STACK.name, "project": "x", "id": "3f9"}
    template = TEMPLATE | {"Metadata": {"voicecore": record}}
    words = "The voicecore project x, stage dev"
    client.has("StackSet-1", "CREATE_COMPLETE", Tags=[], Description=words, template=template)
    cloud = CloudFormation(client, Owner("x", id), AGAIN, pause=lambda _: None)
    deployed = cloud.find(STACK.name)
    assert (deployed is not None and deployed.name == "StackSet-1") is found


@pytest.mark.parametrize("project", ["x", "y"])
def test_stack_without_tags_is_that_of_the_project_in_its_record(project: str) -> None:
    client = CloudFormationDouble()
    metadata = {"voicecore": {"stack": STACK.name, "project": project}}
    template = TEMPLATE | {"Metadata": metadata}
    client.has(STACK.name, "CREATE_COMPLETE", Tags=[], template=template)
    if project == "x":
        assert connect(client).find(STACK.name)
        return
    with pytest.raises(ForeignResource):
        connect(client).find(STACK.name)


def test_identity_that_may_not_list_stacks_finds_those_of_its_names() -> None:
    missing = refused("ValidationError", "Stack with id x does not exist")

    class Denied(ClientAnswers):
        def get_paginator(self, operation: str) -> Any:
            raise refused("AccessDenied", "not authorized")

    assert connect(Denied({"describe_stacks": missing})).find(STACK.name) is None


def test_service_role_is_passed_with_every_operation() -> None:
    given: list[Any] = []

    class Client(CloudFormationDouble):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if not name.endswith("_stack") and name != "create_change_set":
                return found

            def call(RoleARN: str = "", **arguments: Any) -> Any:
                given.append((name, RoleARN))
                return found(**arguments)

            return call

    client = Client()
    cloud = CloudFormation(client, OWNER, AGAIN, lambda _: None, service_role="arn:role")
    deployed = cloud.ensure(STACK, lambda _: None)
    cloud.changes(STACK, deployed)
    larger = Stack(name=STACK.name, template=TEMPLATE, parameters={"Size": "9"}, tags=TAGS)
    cloud.delete(cloud.ensure(larger, lambda _: None), lambda _: None)
    names = ("create_stack", "create_change_set", "update_stack", "delete_stack")
    assert given == [(name, "arn:role") for name in names]

"""Owns CloudFormation stacks: brings a stack to its desired state from any status.

The stack in AWS is both the lock and the state. A run that dies leaves nothing behind on this
machine: the next run reads the stack's status, and `next_step` decides how to continue.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import takewhile
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from voicecore.aws.errors import NO_ANSWER, code_of, message_of
from voicecore.aws.ownership import require_own
from voicecore.aws.polling import Clock, Sleep, poll_intervals
from voicecore.cloud.resources.change_set import NO_CHANGE, arguments_of, proposed_changes
from voicecore.cloud.resources.deployed_stack import (
    DeployedStack,
    MissingResource,
    NextStep,
    StackEvent,
    StackOutcome,
    event_from,
    next_step,
    stack_from,
)
from voicecore.cloud.resources.exported_stacks import owner_tags, stacks_elsewhere
from voicecore.cloud.resources.kept import is_same, keeping
from voicecore.cloud.resources.restoration import restoration_of
from voicecore.cloud.resources.stack_failure import (
    StackBusy,
    stack_failure,
)
from voicecore.cloud.resources.template_text import template_from
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.project.identity import Owner

OFFLINE_PATIENCE = 120.0
"""Seconds to keep asking when the network is lost while a stack is watched."""

OnEvent = Callable[[StackEvent], None]
"""Takes each event of a stack as it happens; called from any thread."""

StopWaiting = Callable[[], bool]
"""Returns True when the rest of an operation does not need to be waited for."""

FindMissing = Callable[[Sequence[Mapping[str, Any]]], tuple[MissingResource, ...]]
"""Takes the resources of a stack, as ListStackResources gives them."""

Answer = TypeVar("Answer")


class CloudFormation:
    """A project's stacks in one account and region, polled at a rate that AWS allows.

    `again` is the command to repeat, for hints of errors. `pause` sleeps for seconds; an exception
    that it raises ends the waiting. `find_missing` returns resources that were deleted by hand.
    `service_role` is the ARN of the role that CloudFormation acts with; empty for the caller.
    """

    def __init__(
        self,
        client: Any,
        owner: Owner,
        again: str,
        pause: Sleep = time.sleep,
        clock: Clock = time.monotonic,
        find_missing: FindMissing | None = None,
        service_role: str = "",
    ) -> None:
        self._client = client
        self._role = {"RoleARN": service_role} if service_role else {}
        self._find_missing = find_missing
        self._owner = owner
        self._again = again
        self._pause = pause
        self._clock = clock

    def find(self, name: str) -> DeployedStack | None:
        """Return the stack with this name or ID, or None.

        It has another name if others deployed it so from an exported template. Raises
        ForeignResource for the name's stack if it is not the owner's.
        """
        try:
            stacks = self._ask(lambda: self._client.describe_stacks(StackName=name))["Stacks"]
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in message_of(error):
                other = self._elsewhere.get(name)
                return self.find(other.id) if other else None
            raise
        deployed = stack_from(stacks[0])
        if name == deployed.name:
            tags = owner_tags(deployed, self.template_of)
            require_own(self._owner, f"stack named {deployed.name}", tags)
        return deployed

    @cached_property
    def _elsewhere(self) -> Mapping[str, DeployedStack]:
        return stacks_elsewhere(self._client, self._owner, self.template_of)

    def is_current(self, stack: Stack, deployed: DeployedStack) -> bool:
        """Return True when the deployed stack is complete and matches the desired one."""
        return deployed.updatable and not deployed.missing and self.matches(stack, deployed)

    def matches(self, stack: Stack, deployed: DeployedStack) -> bool:
        """Return True when the stack matches the desired one, or is being updated to it."""
        return is_same(stack, deployed, self.template_of(deployed))

    def template_of(self, deployed: DeployedStack) -> Json:
        """Return the template of the stack's last operation."""
        answer = self._ask(lambda: self._client.get_template(StackName=deployed.id))
        return template_from(answer["TemplateBody"])

    def wait(self, name: str, on_event: OnEvent) -> DeployedStack | None:
        """Return the stack once no operation is in progress, including those of others."""
        before: str | None = None
        waits = poll_intervals()
        while (deployed := self.find(name)) and next_step(deployed.status) is NextStep.WAIT:
            for event in self._events_since(deployed.id, before or self._last_end(deployed.id)):
                before = event.id
                on_event(event)
            self._pause(next(waits))
        return deployed

    def changes(self, stack: Stack, deployed: DeployedStack) -> Mapping[str, Any] | None:
        """Return what an update would change, as DescribeChangeSet does; None for nothing.

        Raises StackBusy while another operation changes the stack.
        """
        kept = keeping(stack, deployed, self.template_of(deployed))
        try:
            return proposed_changes(self._client, kept, self._role, self._ask, self._pause)
        except ClientError as error:
            if _is_busy(error):
                raise self._busy(stack.name) from error
            raise

    def examined(self, deployed: DeployedStack) -> DeployedStack:
        """Return the stack with those of its resources that were deleted by hand."""
        if self._find_missing is None or not deployed.updatable:
            return deployed
        return replace(deployed, missing=self._find_missing(self.resources(deployed.id)))

    def restore(self, deployed: DeployedStack | None, on_event: OnEvent) -> DeployedStack | None:
        """Create again what of the stack was deleted by hand. Raises StackFailed if AWS cannot."""
        if deployed is None or not deployed.missing:
            return deployed
        # Asked again: IAM may take seconds to know a role that another deploy has just created.
        missing = set(self.examined(deployed).missing) & set(deployed.missing)
        deployed = replace(deployed, missing=tuple(m for m in deployed.missing if m in missing))
        if not missing:
            return deployed
        rest, again = restoration_of(deployed, self.template_of(deployed))
        # CloudFormation accepts no template without a resource.
        without = self.apply(rest, deployed, on_event) if rest.resources else None
        if not without:
            self.delete(deployed, on_event)
        return self.apply(again, without, on_event)

    def apply(
        self,
        stack: Stack,
        planned: DeployedStack | None,
        on_event: OnEvent,
        stop_waiting: StopWaiting | None = None,
    ) -> DeployedStack:
        """Bring the stack to its desired state from any status, and return it.

        `planned` is the stack as the plan saw it; raises StackBusy when it has changed since.
        `stop_waiting` is asked between events whether to return while AWS continues.
        """
        deployed = self.find(stack.name)
        if _state_of(deployed) != _state_of(planned):
            raise self._busy(stack.name)
        if deployed and self.is_current(stack, deployed):
            return deployed
        ready = self.prepare(deployed, on_event) if deployed else None
        if ready:
            return self._update(stack, ready, on_event, stop_waiting)
        return self._create(stack, on_event, stop_waiting)

    def ensure(self, stack: Stack, on_event: OnEvent) -> DeployedStack:
        """Bring a stack that stages share to its desired state, after other operations on it."""
        while True:
            deployed = self.wait(stack.name, on_event)
            desired = stack.keeping(deployed.parameters) if deployed else stack
            try:
                if deployed:
                    # Again: another deploy may have restored them in the meantime.
                    deployed = self.restore(self.examined(deployed), on_event)
                return self.apply(desired, deployed, on_event)
            except StackBusy:
                self._pause(1)

    def delete(self, deployed: DeployedStack, on_event: OnEvent) -> None:
        """Delete the stack and its resources. Raises StackFailed when AWS cannot."""
        before = self._last_event(deployed.id)
        token = uuid.uuid4().hex
        self._client.delete_stack(StackName=deployed.id, ClientRequestToken=token, **self._role)
        self._follow_or_raise(deployed.id, before, on_event, deleting=True)

    def prepare(self, deployed: DeployedStack, on_event: OnEvent) -> DeployedStack | None:
        """Bring the stack to a status in which it can be created (returns None) or updated."""
        match next_step(deployed.status):
            case NextStep.DELETE:
                self.delete(deployed, on_event)
                return None
            case NextStep.ROLL_BACK:
                self._roll_back(deployed, self._client.rollback_stack, on_event)
                return self.find(deployed.name)
            case NextStep.FINISH_ROLL_BACK:
                self._roll_back(deployed, self._client.continue_update_rollback, on_event)
                return self.find(deployed.name)
            case NextStep.WAIT:
                raise self._busy(deployed.name)
            case NextStep.CREATE:
                return None
            case NextStep.UPDATE:
                return deployed

    def resources(self, name: str) -> list[Mapping[str, Any]]:
        """Return the stack's resources as ListStackResources does."""
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=name)
        return [entry for page in pages for entry in page["StackResourceSummaries"]]

    def _create(
        self, stack: Stack, on_event: OnEvent, stop_waiting: StopWaiting | None
    ) -> DeployedStack:
        self._start(self._client.create_stack, stack, None)
        self._follow_or_raise(stack.name, None, on_event, stop_waiting=stop_waiting)
        return self._after(stack.name)

    def _update(
        self,
        stack: Stack,
        deployed: DeployedStack,
        on_event: OnEvent,
        stop_waiting: StopWaiting | None,
    ) -> DeployedStack:
        before = self._last_event(deployed.id)
        kept = keeping(stack, deployed, self.template_of(deployed))
        try:
            self._start(self._client.update_stack, kept, before)
        except ClientError as error:
            if NO_CHANGE in message_of(error):
                # Also after a lost answer, when the first try has completed in the meantime.
                return self._after(deployed.name)
            raise
        self._follow_or_raise(deployed.id, before, on_event, stop_waiting=stop_waiting)
        return self._after(deployed.name)

    def _after(self, name: str) -> DeployedStack:
        deployed = self.find(name)
        if deployed is None:
            # Somebody deleted it right after the operation.
            raise self._busy(name)
        return deployed

    def _start(self, operation: Callable[..., Any], stack: Stack, before: str | None) -> None:
        token = uuid.uuid4().hex
        try:
            operation(ClientRequestToken=token, **self._role, **arguments_of(stack))
        except ClientError as error:
            if not _is_busy(error):
                raise
            # boto3 retries after a lost answer and then finds the operation of its first try.
            if not self._started(stack.deployed_name or stack.name, before, token):
                raise self._busy(stack.name) from error

    def _roll_back(
        self, deployed: DeployedStack, operation: Callable[..., Any], on_event: OnEvent
    ) -> None:
        before = self._last_event(deployed.id)
        token = uuid.uuid4().hex
        operation(StackName=deployed.id, ClientRequestToken=token, **self._role)
        outcome = self._follow(deployed.id, before, on_event)
        if outcome.status.endswith("_FAILED"):
            raise stack_failure(deployed.name, outcome, self._again)

    def _follow_or_raise(
        self,
        stack_id: str,
        before: str | None,
        on_event: OnEvent,
        deleting: bool = False,
        stop_waiting: StopWaiting | None = None,
    ) -> None:
        outcome = self._follow(stack_id, before, on_event, deleting, stop_waiting)
        if outcome.failed:
            raise stack_failure(_name_of(stack_id), outcome, self._again)

    def _follow(
        self,
        stack_id: str,
        before: str | None,
        on_event: OnEvent,
        deleting: bool = False,
        stop_waiting: StopWaiting | None = None,
    ) -> StackOutcome:
        """Wait for the operation that runs since the event `before`, and return its outcome."""
        failures: list[StackEvent] = []
        waits = poll_intervals()
        while True:
            events = self._events_since(stack_id, before)
            for event in events:
                before = event.id
                on_event(event)
                if event.is_stack and event.finished:
                    return StackOutcome(event.status, event.reason, tuple(failures))
                if event.failed:
                    failures.append(event)
            # A stack that never had a resource may disappear without an event.
            if deleting and not events and self._is_gone(stack_id):
                return StackOutcome("DELETE_COMPLETE", "", ())
            if stop_waiting and stop_waiting():
                return StackOutcome("UPDATE_IN_PROGRESS", "", tuple(failures))
            self._pause(next(waits))

    def _is_gone(self, stack_id: str) -> bool:
        deployed = self.find(stack_id)
        return deployed is None or deployed.status == "DELETE_COMPLETE"

    def _events_since(self, stack_id: str, before: str | None) -> list[StackEvent]:
        """Return the events after the event `before`, oldest first."""
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        new = self._ask(
            lambda: list(
                takewhile(
                    lambda entry: entry["EventId"] != before,
                    (entry for page in pages for entry in page["StackEvents"]),
                )
            )
        )
        return [event_from(entry) for entry in reversed(new)]

    def _last_event(self, stack_id: str) -> str | None:
        events = self._ask(lambda: self._client.describe_stack_events(StackName=stack_id))
        return next((entry["EventId"] for entry in events["StackEvents"]), None)

    def _last_end(self, stack_id: str) -> str | None:
        """Return the event that ended the operation before the current one."""
        events = self._events_since(stack_id, None)
        ends = [event.id for event in events if event.is_stack and event.finished]
        return ends[-1] if ends else None

    def _started(self, stack_id: str, before: str | None, token: str) -> bool:
        return any(event.token == token for event in self._events_since(stack_id, before))

    def _busy(self, name: str) -> StackBusy:
        return StackBusy(
            f"Another deploy changed the stack {name} after this plan was made.",
            f"This plan did not change the stack. To see the current plan, run:\n{self._again}",
        )

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Return the answer to a read-only question; keep asking while the network is lost."""
        waits = poll_intervals()
        deadline = self._clock() + OFFLINE_PATIENCE
        while True:
            try:
                return question()
            except NO_ANSWER:
                if self._clock() > deadline:
                    raise
                self._pause(next(waits))


def _state_of(deployed: DeployedStack | None) -> tuple[str, str, datetime | None] | None:
    """Return what identifies one state of a stack; an empty stack counts as absent."""
    if deployed is None or deployed.empty:
        return None
    return deployed.id, deployed.status, deployed.updated


def _name_of(stack_id: str) -> str:
    return stack_id.split("/")[1] if "/" in stack_id else stack_id


def _is_busy(error: ClientError) -> bool:
    return code_of(error) in (
        "AlreadyExistsException",
        "OperationInProgressException",
        "TokenAlreadyExistsException",
    ) or ("_IN_PROGRESS state" in message_of(error))

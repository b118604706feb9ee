"""CloudFormation: brings a stack to what it should be, from whatever state it was left in.

Change sets only tell what an update would change. The update itself is UpdateStack: it is refused
while another runs, as a change set is, and leaves nothing behind if this process dies before it.
The stack in AWS is the lock and the state. A run that dies leaves nothing behind here; the next
one reads the stack's status, and `next_step` says what to do about it.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import takewhile
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from voicecore.aws.errors import NO_ANSWER, AwsRefused, code_of, message_of, permission_error
from voicecore.aws.known_failures import find_known_failure
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.project import aws_names

OFFLINE_PATIENCE = 120.0
"""Seconds for which a lost network is waited for while a stack is watched."""


class Step(Enum):
    """What must be done with a stack next."""

    CREATE = "create it"
    UPDATE = "update it"
    WAIT = "wait until AWS has ended what it does with it"
    DELETE = "delete what a failed creation left, then create it"
    ROLL_BACK = "take a failed update back, then update it"
    FINISH_ROLL_BACK = "take a failed update back, which failed before, then update it"


_STEPS = {
    "CREATE_FAILED": Step.DELETE,
    "CREATE_COMPLETE": Step.UPDATE,
    "ROLLBACK_FAILED": Step.DELETE,
    "ROLLBACK_COMPLETE": Step.DELETE,
    "DELETE_FAILED": Step.DELETE,
    "DELETE_COMPLETE": Step.CREATE,
    "UPDATE_COMPLETE": Step.UPDATE,
    "UPDATE_FAILED": Step.ROLL_BACK,
    "UPDATE_ROLLBACK_FAILED": Step.FINISH_ROLL_BACK,
    "UPDATE_ROLLBACK_COMPLETE": Step.UPDATE,
    # Somebody proposed a change set and never executed it: no resource is in it yet.
    "REVIEW_IN_PROGRESS": Step.DELETE,
    "IMPORT_COMPLETE": Step.UPDATE,
    "IMPORT_ROLLBACK_FAILED": Step.FINISH_ROLL_BACK,
    "IMPORT_ROLLBACK_COMPLETE": Step.UPDATE,
}


def next_step(status: str | None) -> Step:
    """What to do with a stack of this status (None: there is no such stack).

    The statuses are those of CloudFormation's API reference, `Stack.StackStatus`.
    """
    if status is None:
        return Step.CREATE
    if status in _STEPS:
        return _STEPS[status]
    if status.endswith("_IN_PROGRESS"):
        return Step.WAIT
    raise AwsRefused(f"CloudFormation says {status}, which this voicecore does not know.")


@dataclass(frozen=True)
class Live:
    """A stack as it is in AWS."""

    id: str
    name: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    created: datetime | None = None
    updated: datetime | None = None
    """When it was last changed, or made."""

    @property
    def stands(self) -> bool:
        """Whether all of it is there, so that it can be updated."""
        return next_step(self.status) is Step.UPDATE

    @property
    def empty(self) -> bool:
        """Whether nothing is in it: it is as good as not there."""
        return self.status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")


@dataclass(frozen=True)
class Event:
    """One thing that happened to a resource of a stack, or to the stack itself."""

    id: str
    stack: str
    resource: str
    """Its logical id; the stack's own name for the stack itself."""
    type: str
    status: str
    reason: str
    time: datetime
    of_stack: bool
    token: str
    """The token of the request that began it."""

    @property
    def over(self) -> bool:
        """Whether nothing more will be done to it for now."""
        return not self.status.endswith("_IN_PROGRESS")

    @property
    def failed(self) -> bool:
        """Whether it went wrong."""
        return self.status.endswith("_FAILED")


@dataclass(frozen=True)
class Ending:
    """How an operation on a stack ended."""

    status: str
    reason: str
    failures: tuple[Event, ...]


class StackFailed(AwsRefused):
    """A stack did not become what it should."""


class StackBusy(AwsRefused):
    """Somebody else is changing the stack."""


class NotOurs(AwsRefused):
    """A stack of that name exists which voicecore did not make."""


Tell = Callable[[Event], None]
"""Takes each event of a stack as it happens; called from any thread."""

Enough = Callable[[], bool]
"""Says whether what goes on in AWS need not be waited for any longer."""

Answer = TypeVar("Answer")

_NO_CHANGE = "No updates are to be performed"


class CloudFormation:
    """CloudFormation of one account and region, asked at a pace that AWS allows.

    `again` is the command that continues, for errors. `pause` waits for seconds; what it raises
    ends the waiting.
    """

    def __init__(self, client: Any, again: str, pause: Sleep = time.sleep) -> None:
        self._client = client
        self._again = again
        self._pause = pause

    def find(self, name: str) -> Live | None:
        """The stack of this name or id, if there is one."""
        try:
            stacks = self._ask(lambda: self._client.describe_stacks(StackName=name))["Stacks"]
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in message_of(error):
                return None
            raise
        return _live(stacks[0])

    def is_same(self, stack: Stack, live: Live) -> bool:
        """Whether the stack is already what it should be, so that nothing need be changed."""
        return live.stands and self.is_meant(stack, live)

    def is_meant(self, stack: Stack, live: Live) -> bool:
        """Whether the stack is what it should be, or is just becoming it."""
        return (
            dict(live.tags) == stack.tags
            and dict(live.parameters) == _parameters_of(stack)
            and self.template_of(live) == stack.template
        )

    def template_of(self, live: Live) -> Json:
        """The template by which the stack was last changed."""
        body = self._ask(lambda: self._client.get_template(StackName=live.id))["TemplateBody"]
        return json.loads(body) if isinstance(body, str) else body

    def wait(self, name: str, tell: Tell) -> Live | None:
        """The stack once AWS does nothing with it, whoever began what it does."""
        before: str | None = None
        waits = poll_intervals()
        while (live := self.find(name)) and next_step(live.status) is Step.WAIT:
            for event in self._events_since(live.id, before or self._last_end(live.id)):
                before = event.id
                tell(event)
            self._pause(next(waits))
        return live

    def changes(self, stack: Stack, live: Live) -> Mapping[str, Any] | None:
        """What an update would change, as DescribeChangeSet says it; None if nothing.

        Raises NotOurs for a stack that voicecore did not make, StackBusy if somebody is at it.
        """
        _require_ours(live)
        name = f"voicecore-{uuid.uuid4().hex}"
        try:
            arn = self._client.create_change_set(
                ChangeSetName=name, ClientToken=name, ChangeSetType="UPDATE", **_arguments(stack)
            )["Id"]
        except ClientError as error:
            if _is_busy(error):
                raise self._busy(stack.name) from error
            raise
        proposed = self._proposed(arn)
        self._client.delete_change_set(ChangeSetName=arn)
        reason = str(proposed.get("StatusReason", ""))
        if proposed["Status"] != "FAILED":
            return proposed
        if "didn't contain changes" in reason or _NO_CHANGE in reason:
            return None
        raise StackFailed(f"CloudFormation refuses the template of {stack.name}: {reason}")

    def apply(
        self, stack: Stack, since: Live | None, tell: Tell, enough: Enough | None = None
    ) -> Live:
        """The stack as it should be, from whatever state it was left in.

        `enough` is asked meanwhile whether all that matters is done, though AWS goes on. Raises
        StackBusy if it is not what it was when `since` was read: the plan was another.
        """
        live = self.find(stack.name)
        if _state_of(live) != _state_of(since):
            raise self._busy(stack.name)
        if live and self.is_same(stack, live):
            return live
        ready = self._mend(live, tell) if live else None
        if ready:
            return self._update(stack, ready, tell, enough)
        return self._create(stack, tell, enough)

    def ensure(self, stack: Stack, tell: Tell) -> Live:
        """A stack that stages share as it should be; who else changes it is waited for."""
        while True:
            live = self.wait(stack.name, tell)
            try:
                return self.apply(stack.keeping(live.parameters) if live else stack, live, tell)
            except StackBusy:
                self._pause(1)

    def delete(self, live: Live, tell: Tell) -> None:
        """Delete a stack and all that it made. Raises StackFailed for what AWS cannot delete."""
        before = self._last_event(live.id)
        self._client.delete_stack(StackName=live.id, ClientRequestToken=uuid.uuid4().hex)
        self._follow_or_raise(live.id, before, tell, gone=True)

    def resources(self, name: str) -> list[Mapping[str, Any]]:
        """What the stack has made, as `ListStackResources` says it."""
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=name)
        return [entry for page in pages for entry in page["StackResourceSummaries"]]

    def _create(self, stack: Stack, tell: Tell, enough: Enough | None) -> Live:
        self._begin(self._client.create_stack, stack, None)
        self._follow_or_raise(stack.name, None, tell, enough=enough)
        return self._after(stack.name)

    def _update(self, stack: Stack, live: Live, tell: Tell, enough: Enough | None) -> Live:
        _require_ours(live)
        before = self._last_event(live.id)
        try:
            self._begin(self._client.update_stack, stack, before)
        except ClientError as error:
            if _NO_CHANGE in message_of(error):
                # Unless the answer to a first try was lost, which has been carried out since.
                return self._after(live.name)
            raise
        self._follow_or_raise(live.id, before, tell, enough=enough)
        return self._after(live.name)

    def _after(self, name: str) -> Live:
        live = self.find(name)
        if live is None:
            # It was deleted in the moment after.
            raise self._busy(name)
        return live

    def _begin(self, operation: Callable[..., Any], stack: Stack, before: str | None) -> None:
        token = uuid.uuid4().hex
        try:
            operation(ClientRequestToken=token, **_arguments(stack))
        except ClientError as error:
            if not _is_busy(error):
                raise
            # boto3's second try after a lost answer finds that the first did begin it.
            if not self._began(stack.name, before, token):
                raise self._busy(stack.name) from error

    def _mend(self, live: Live, tell: Tell) -> Live | None:
        """The stack in a state from which it can be created (None) or updated."""
        match next_step(live.status):
            case Step.DELETE:
                self.delete(live, tell)
                return None
            case Step.ROLL_BACK:
                self._roll_back(live, self._client.rollback_stack, tell)
                return self.find(live.name)
            case Step.FINISH_ROLL_BACK:
                self._roll_back(live, self._client.continue_update_rollback, tell)
                return self.find(live.name)
            case Step.WAIT:
                raise self._busy(live.name)
            case Step.CREATE:
                return None
            case Step.UPDATE:
                return live

    def _roll_back(self, live: Live, begin: Callable[..., Any], tell: Tell) -> None:
        before = self._last_event(live.id)
        begin(StackName=live.id, ClientRequestToken=uuid.uuid4().hex)
        ending = self._follow(live.id, before, tell)
        if ending.status.endswith("_FAILED"):
            raise failed(live.name, ending, self._again)

    def _follow_or_raise(
        self,
        stack_id: str,
        before: str | None,
        tell: Tell,
        gone: bool = False,
        enough: Enough | None = None,
    ) -> None:
        ending = self._follow(stack_id, before, tell, gone, enough)
        if ending.status.endswith("_FAILED") or "ROLLBACK" in ending.status:
            raise failed(_name_of(stack_id), ending, self._again)

    def _follow(
        self,
        stack_id: str,
        before: str | None,
        tell: Tell,
        gone: bool = False,
        enough: Enough | None = None,
    ) -> Ending:
        """How that ended which goes on since the event `before`; `gone`: it may be deleted.

        Where it is `enough`, it goes on without us.
        """
        failures: list[Event] = []
        waits = poll_intervals()
        while True:
            events = self._events_since(stack_id, before)
            for event in events:
                before = event.id
                tell(event)
                if event.of_stack and event.over:
                    return Ending(event.status, event.reason, tuple(failures))
                if event.failed:
                    failures.append(event)
            # A stack that never had a resource may be gone without an event that says so.
            if gone and not events and self._is_gone(stack_id):
                return Ending("DELETE_COMPLETE", "", ())
            if enough and enough():
                return Ending("UPDATE_IN_PROGRESS", "", tuple(failures))
            self._pause(next(waits))

    def _is_gone(self, stack_id: str) -> bool:
        live = self.find(stack_id)
        return live is None or live.status == "DELETE_COMPLETE"

    def _events_since(self, stack_id: str, before: str | None) -> list[Event]:
        """What happened after the event `before`, oldest first."""
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        new = self._ask(
            lambda: list(
                takewhile(
                    lambda entry: entry["EventId"] != before,
                    (entry for page in pages for entry in page["StackEvents"]),
                )
            )
        )
        return [_event(entry) for entry in reversed(new)]

    def _last_event(self, stack_id: str) -> str | None:
        events = self._ask(lambda: self._client.describe_stack_events(StackName=stack_id))
        return next((entry["EventId"] for entry in events["StackEvents"]), None)

    def _last_end(self, stack_id: str) -> str | None:
        """The event that ended what went on before."""
        events = self._events_since(stack_id, None)
        ends = [event.id for event in events if event.of_stack and event.over]
        return ends[-1] if ends else None

    def _began(self, stack_id: str, before: str | None, token: str) -> bool:
        return any(event.token == token for event in self._events_since(stack_id, before))

    def _proposed(self, arn: str) -> Mapping[str, Any]:
        waits = poll_intervals()
        while True:
            pages = self._ask(
                lambda: list(
                    self._client.get_paginator("describe_change_set").paginate(ChangeSetName=arn)
                )
            )
            if pages[0]["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return pages[0] | {"Changes": [c for page in pages for c in page["Changes"]]}
            self._pause(next(waits))

    def _busy(self, name: str) -> StackBusy:
        return StackBusy(
            f"Another deploy changed the stack {name} after this plan was made.",
            f"Nothing of this plan was done to it. See the plan as it is now:\n{self._again}",
        )

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question that changes nothing; a lost network is waited for."""
        waits = poll_intervals()
        deadline = time.monotonic() + OFFLINE_PATIENCE
        while True:
            try:
                return question()
            except NO_ANSWER:
                if time.monotonic() > deadline:
                    raise
                self._pause(next(waits))


def failed(name: str, ending: Ending, again: str) -> StackFailed:
    """The error for a stack that ended badly: its first failures, and what helps."""
    own = [e for e in ending.failures if "cancelled" not in e.reason] or ending.failures
    # Of what fails again while it is taken back, the first time is the one to tell.
    causes = {e.resource: e for e in reversed(own)}.values()
    lines = [f"{e.resource} ({e.type}): {e.reason or e.status}" for e in reversed(causes)]
    words = "\n".join(lines) or ending.reason
    return StackFailed(
        "\n  ".join([f"The stack {name} ended in {ending.status}:", *words.splitlines()]),
        _help(words, ending.status, again),
    )


def _help(words: str, status: str, again: str) -> str:
    if "is not authorized to perform" in words:
        return str(permission_error(words, "", again).hint)
    known = find_known_failure(words)
    advice = [known.fix] if known else []
    if "already exists" in words:
        advice = ["That name is taken by something that this stack did not make: delete it,"]
        advice += ["or give the project another name in voicecore.toml."]
    if status == "UPDATE_ROLLBACK_FAILED":
        advice += ["The update could not be taken back: mend what is named above first."]
    elif "ROLLBACK" in status:
        advice += ["AWS took back what it had done."]
    return "\n".join([*advice, f"Then go on:  {again}"])


def _state_of(live: Live | None) -> tuple[str, str, datetime | None] | None:
    """What tells one state of a stack from another."""
    return (live.id, live.status, live.updated) if live and not live.empty else None


def _parameters_of(stack: Stack) -> dict[str, str]:
    declared: Mapping[str, Any] = stack.template.get("Parameters", {})
    defaults = {name: p["Default"] for name, p in declared.items() if "Default" in p}
    return defaults | stack.parameters


def _live(stack: Mapping[str, Any]) -> Live:
    return Live(
        id=stack["StackId"],
        name=stack["StackName"],
        status=stack["StackStatus"],
        reason=stack.get("StackStatusReason", ""),
        parameters={
            p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", ())
        },
        outputs={o["OutputKey"]: o.get("OutputValue", "") for o in stack.get("Outputs", ())},
        tags={t["Key"]: t["Value"] for t in stack.get("Tags", ())},
        created=stack.get("CreationTime"),
        updated=stack.get("LastUpdatedTime") or stack.get("CreationTime"),
    )


def _event(entry: Mapping[str, Any]) -> Event:
    return Event(
        id=entry["EventId"],
        stack=entry["StackName"],
        resource=entry["LogicalResourceId"],
        type=entry["ResourceType"],
        status=entry.get("ResourceStatus", ""),
        reason=entry.get("ResourceStatusReason", ""),
        time=entry["Timestamp"],
        of_stack=entry.get("PhysicalResourceId") == entry["StackId"],
        token=entry.get("ClientRequestToken", ""),
    )


def _pairs(key: str, value: str, mapping: Mapping[str, str]) -> list[dict[str, str]]:
    return [{key: k, value: v} for k, v in mapping.items()]


def _name_of(stack_id: str) -> str:
    return stack_id.split("/")[1] if "/" in stack_id else stack_id


def _arguments(stack: Stack) -> dict[str, Any]:
    return {
        "StackName": stack.name,
        "TemplateBody": stack.body,
        "Parameters": _pairs("ParameterKey", "ParameterValue", stack.parameters),
        "Tags": _pairs("Key", "Value", stack.tags),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }


def _require_ours(live: Live) -> None:
    if aws_names.TAG_PROJECT not in live.tags:
        raise NotOurs(
            f"There is a stack {live.name} already, and voicecore did not make it.",
            "Give the project another name in voicecore.toml, or delete that stack.",
        )


def _is_busy(error: ClientError) -> bool:
    return code_of(error) in (
        "AlreadyExistsException",
        "OperationInProgressException",
        "TokenAlreadyExistsException",
    ) or ("_IN_PROGRESS state" in message_of(error))

"""Owns the values that CloudFormation's answers become: stacks, events, outcomes, next steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from voicecore.aws.errors import AwsRefused


class NextStep(Enum):
    """The next step that brings a stack to its desired state."""

    CREATE = auto()
    UPDATE = auto()
    WAIT = auto()
    """Another operation on the stack is in progress."""
    DELETE = auto()
    """Delete what a failed creation left, then create the stack."""
    ROLL_BACK = auto()
    """Roll back a failed update, then update the stack."""
    FINISH_ROLL_BACK = auto()
    """Continue a rollback that failed, then update the stack."""


_NEXT_STEPS = {
    "CREATE_FAILED": NextStep.DELETE,
    "CREATE_COMPLETE": NextStep.UPDATE,
    "ROLLBACK_FAILED": NextStep.DELETE,
    "ROLLBACK_COMPLETE": NextStep.DELETE,
    "DELETE_FAILED": NextStep.DELETE,
    "DELETE_COMPLETE": NextStep.CREATE,
    "UPDATE_COMPLETE": NextStep.UPDATE,
    "UPDATE_FAILED": NextStep.ROLL_BACK,
    "UPDATE_ROLLBACK_FAILED": NextStep.FINISH_ROLL_BACK,
    "UPDATE_ROLLBACK_COMPLETE": NextStep.UPDATE,
    # A change set was proposed and never executed, so the stack has no resources yet.
    "REVIEW_IN_PROGRESS": NextStep.DELETE,
    "IMPORT_COMPLETE": NextStep.UPDATE,
    "IMPORT_ROLLBACK_FAILED": NextStep.FINISH_ROLL_BACK,
    "IMPORT_ROLLBACK_COMPLETE": NextStep.UPDATE,
}


def next_step(status: str | None) -> NextStep:
    """Return what to do with a stack of this status; None means that the stack is missing.

    The statuses are those of CloudFormation's API reference, `Stack.StackStatus`. Raises
    AwsRefused for a status that is not listed there.
    """
    if status is None:
        return NextStep.CREATE
    if status in _NEXT_STEPS:
        return _NEXT_STEPS[status]
    if status.endswith("_IN_PROGRESS"):
        return NextStep.WAIT
    raise AwsRefused(f"CloudFormation reports status {status}, unknown to this voicecore version.")


@dataclass(frozen=True)
class MissingResource:
    """A resource that a stack has and AWS has not any more."""

    logical: str
    type: str
    physical: str
    path: str = ""
    """Path of an IAM role without its first slash, which its ARN has and its ID has not."""


@dataclass(frozen=True)
class DeployedStack:
    """A stack as CloudFormation describes it."""

    id: str
    name: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    created: datetime | None = None
    updated: datetime | None = None
    """Time of the last update; time of creation if there was none."""
    missing: tuple[MissingResource, ...] = ()
    """Resources that were deleted by hand, where that was asked (`CloudFormation.examined`)."""

    @property
    def updatable(self) -> bool:
        """True when the stack is complete and can be updated."""
        return next_step(self.status) is NextStep.UPDATE

    @property
    def empty(self) -> bool:
        """True when the stack has no resources: it counts as absent."""
        return self.status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")


@dataclass(frozen=True)
class StackEvent:
    """One event of a stack or of a resource in it."""

    id: str
    stack: str
    resource: str
    """Logical ID; the stack's name for an event of the stack itself."""
    type: str
    status: str
    reason: str
    time: datetime
    is_stack: bool
    """True for an event of the stack itself."""
    token: str
    """ClientRequestToken of the request that started the operation."""

    @property
    def finished(self) -> bool:
        """True when no operation is in progress any more."""
        return not self.status.endswith("_IN_PROGRESS")

    @property
    def failed(self) -> bool:
        """True when the operation failed."""
        return self.status.endswith("_FAILED")


@dataclass(frozen=True)
class StackOutcome:
    """The result of an operation on a stack."""

    status: str
    reason: str
    failures: tuple[StackEvent, ...]
    """Failed events, oldest first."""

    @property
    def failed(self) -> bool:
        """True when the operation failed or was rolled back."""
        return self.status.endswith("_FAILED") or "ROLLBACK" in self.status


def stack_from(described: Mapping[str, Any]) -> DeployedStack:
    """Return a stack from one entry of DescribeStacks."""
    return DeployedStack(
        id=described["StackId"],
        name=described["StackName"],
        status=described["StackStatus"],
        reason=described.get("StackStatusReason", ""),
        parameters={
            p["ParameterKey"]: p.get("ParameterValue", "") for p in described.get("Parameters", ())
        },
        outputs={o["OutputKey"]: o.get("OutputValue", "") for o in described.get("Outputs", ())},
        tags={t["Key"]: t["Value"] for t in described.get("Tags", ())},
        created=described.get("CreationTime"),
        updated=described.get("LastUpdatedTime") or described.get("CreationTime"),
    )


def event_from(entry: Mapping[str, Any]) -> StackEvent:
    """Return an event from one entry of DescribeStackEvents."""
    return StackEvent(
        id=entry["EventId"],
        stack=entry["StackName"],
        resource=entry["LogicalResourceId"],
        type=entry["ResourceType"],
        status=entry.get("ResourceStatus", ""),
        reason=entry.get("ResourceStatusReason", ""),
        time=entry["Timestamp"],
        is_stack=entry.get("PhysicalResourceId") == entry["StackId"],
        token=entry.get("ClientRequestToken", ""),
    )

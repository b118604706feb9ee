"""Owns the stack that the tests of CloudFormation bring to its desired state."""

from typing import Any

from tests.standins.cloudformation_double import CloudFormationDouble
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import (
    NextStep,
    StackEvent,
    next_step,
)
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.identity import Owner

AGAIN = "voicecore deploy --stage dev"
TEMPLATE = {"Resources": {"Thing": {"Type": "AWS::X::Thing"}}}
TAGS = {"voicecore:project": "x", "voicecore:stage": "dev"}
OWNER = Owner("x")
STACK = Stack(name="voicecore-x-dev", template=TEMPLATE, parameters={"Size": "1"}, tags=TAGS)


def connect(client: Any) -> CloudFormation:
    return CloudFormation(client, OWNER, AGAIN, pause=lambda _: None)


def apply(client: Any, stack: Stack = STACK) -> list[StackEvent]:
    """Bring the stack to its desired state, and return its events."""
    events: list[StackEvent] = []
    deployed = connect(client).ensure(stack, events.append)
    assert deployed.name == stack.name
    return events


def is_current(client: CloudFormationDouble) -> bool:
    cloud = connect(client)
    deployed = cloud.find(STACK.name)
    assert deployed is not None and next_step(deployed.status) is NextStep.UPDATE
    return cloud.is_current(STACK, deployed)

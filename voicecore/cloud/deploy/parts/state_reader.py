"""Owns reading the current state of parts from AWS, before a deploy and for status."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of, is_denied
from voicecore.aws.session import Aws
from voicecore.cloud.resources.cloudformation import CloudFormation, OnEvent
from voicecore.cloud.resources.deployed_stack import DeployedStack, NextStep, next_step
from voicecore.cloud.resources.secrets import secret_value

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class SecretValue:
    """The variables in a part's secret, as far as they are known."""

    variables: Mapping[str, str] | None = field(default=None, repr=False)
    """None without a value, or without permission to read it."""
    version: str = ""


class StateReader(Protocol):
    """Reads the current state of parts."""

    @property
    def aws(self) -> Aws:
        """The account and region."""
        ...

    @property
    def cloud(self) -> CloudFormation:
        """CloudFormation there."""
        ...

    def settled(self, stack: DeployedStack | None) -> DeployedStack | None:
        """Return the stack as the reader wants it: some wait for an operation in progress."""
        ...

    def ask(self, what: str, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        """Return the answer to a question about `what`; some readers tolerate errors."""
        ...

    def secret(self, stack: DeployedStack) -> SecretValue:
        """Return the value of the stack's secret, if the reader reads secrets."""
        ...


@dataclass(frozen=True)
class DeployReader:
    """Reads the state before a deploy: waits for operations in progress, and raises errors."""

    aws: Aws
    cloud: CloudFormation
    on_event: OnEvent

    def settled(self, stack: DeployedStack | None) -> DeployedStack | None:
        """Return the stack once no operation is in progress; None for an empty one.

        It is compared with what stands: resources deleted by hand are in `missing`.
        """
        if stack and next_step(stack.status) is NextStep.WAIT:
            stack = self.cloud.wait(stack.name, self.on_event)
        return self.cloud.examined(stack) if stack and not stack.empty else None

    def ask(self, what: str, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        """Return the answer."""
        return question()

    def secret(self, stack: DeployedStack) -> SecretValue:
        """Return the value of the stack's secret."""
        if "SecretArn" not in stack.outputs:
            return SecretValue()
        try:
            answer = secret_value(self.aws, stack.outputs["SecretArn"])
        except ClientError as error:
            # A failed deploy leaves a secret without a value; some may write but not read it.
            if code_of(error) == "ResourceNotFoundException" or is_denied(error):
                return SecretValue()
            raise
        return SecretValue(json.loads(answer["SecretString"]), answer["VersionId"])


def write_secret(aws: Aws, stack: DeployedStack, variables: Mapping[str, str]) -> str:
    """Write the value of the stack's secret, and return its version."""
    answer = aws.client("secretsmanager").put_secret_value(
        SecretId=stack.outputs["SecretArn"], SecretString=json.dumps(dict(variables))
    )
    return answer["VersionId"]

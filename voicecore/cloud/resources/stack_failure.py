"""Owns the errors of stack operations: the first causes that AWS gives, and what to do."""

from __future__ import annotations

from voicecore.aws.errors import AwsRefused, permission_error
from voicecore.aws.known_failures import find_known_failure
from voicecore.cloud.resources.deployed_stack import StackOutcome


class StackFailed(AwsRefused):
    """A stack did not reach its desired state."""


class StackBusy(AwsRefused):
    """Another operation changes the stack."""


def stack_failure(name: str, outcome: StackOutcome, again: str) -> StackFailed:
    """Return the error for a stack whose operation failed; `again` is the command to repeat."""
    own = [e for e in outcome.failures if "cancelled" not in e.reason] or outcome.failures
    # A resource may fail again during the rollback: its first failure is the cause.
    causes = {e.resource: e for e in reversed(own)}.values()
    lines = [f"{e.resource} ({e.type}): {e.reason or e.status}" for e in reversed(causes)]
    words = "\n".join(lines) or outcome.reason
    return StackFailed(
        "\n  ".join([f"The stack {name} ended in {outcome.status}:", *words.splitlines()]),
        _hint(words, outcome.status, again),
    )


def _hint(words: str, status: str, again: str) -> str:
    if "is not authorized to perform" in words:
        return str(permission_error(words, "", again).hint)
    known = find_known_failure(words)
    advice = [known.fix] if known else []
    if "already exists" in words:
        advice = ["A resource outside this stack has that name. Delete the resource,"]
        advice += ["or choose another project name in voicecore.toml."]
    if status == "UPDATE_ROLLBACK_FAILED":
        advice += ["The update could not be rolled back: fix the resources named above first."]
    elif "ROLLBACK" in status:
        advice += ["AWS rolled back the changes."]
    return "\n".join([*advice, f"Then run:  {again}"])

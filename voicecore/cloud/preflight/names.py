"""Owns the check of names: resources outside voicecore's stacks must not have a stack's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.resources.secrets import delete_command, restore_command


def name_results(taken: Iterable[FoundResource], region: str) -> Iterator[CheckResult]:
    """Yield a failure for each resource that has a name of a new stack."""
    for resource in taken:
        # AgentCore leaves log groups behind, and reuses them.
        if resource.kind == "log group":
            continue
        named = f"a {resource.kind} named {resource.name}"
        if resource.deletion:
            why = f"{named} is scheduled for deletion on {resource.deletion}; its name stays taken"
            fix = (
                "To free the name, delete the secret now; its value is lost:\n"
                f"{delete_command(resource.name, region)}\n"
                "To keep its value, restore it, and choose another project name:\n"
                f"{restore_command(resource.name, region)}"
            )
        else:
            why = f"{named} exists outside voicecore's stacks"
            fix = f"Delete that {resource.kind}, or choose another project name in voicecore.toml."
        yield CheckResult("names", CheckOutcome.FAILED, why, fix)

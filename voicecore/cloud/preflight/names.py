"""Owns the check of names: resources outside voicecore's stacks must not have a stack's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.resources.inventory import FoundResource


def name_results(taken: Iterable[FoundResource]) -> Iterator[CheckResult]:
    """Yield a failure for each resource that has a name of a new stack."""
    for resource in taken:
        # AgentCore leaves log groups behind, and reuses them.
        if resource.kind != "log group":
            yield CheckResult(
                "names",
                CheckOutcome.FAILED,
                f"a {resource.kind} named {resource.name} exists outside voicecore's stacks",
                f"Delete that {resource.kind}, or choose another project name in voicecore.toml.",
            )

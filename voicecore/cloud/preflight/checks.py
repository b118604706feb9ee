"""Owns preflight checks: how they run in parallel, and what their results mean.

Each check asks AWS one question and judges the answer by a pure function. A question that the
deploying identity may not ask leaves a warning and stops nothing: the deploy itself may have the
permissions that the check lacks.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, is_denied, translate_error
from voicecore.aws.task_group import TaskGroup
from voicecore.console.errors import VoicecoreError


class CheckOutcome(StrEnum):
    """The outcome of a preflight check."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The question could not be asked, or the answer is only a warning."""


@dataclass(frozen=True)
class CheckResult:
    """One result of a preflight check."""

    check: str
    outcome: CheckOutcome
    message: str
    fix: str = ""
    """Command or advice that fixes a failure; may be empty."""
    name: str = ""
    """Name of the check, which `run_checks` adds."""


class PreflightFailed(AwsRefused):
    """At least one preflight check failed; `again` is the command to repeat."""

    def __init__(self, failed: Sequence[CheckResult], again: str) -> None:
        one = len(failed) == 1
        names = dict.fromkeys(result.name for result in failed if result.name)
        skip = " ".join([again, *(f"--skip-check {name}" for name in names)])
        count = "1 preflight check" if one else f"{len(failed)} preflight checks"
        super().__init__(
            "\n  ".join(
                [f"{count} failed; nothing was changed:"]
                + [f"{result.check}: {result.message}" for result in failed]
            ),
            "\n".join(
                [
                    *dict.fromkeys(result.fix for result in failed if result.fix),
                    *([f"If a check is wrong here, skip it:  {skip}"] if names else []),
                ]
            ),
        )


PreflightCheck = tuple[str, Callable[[], Iterable[CheckResult]]]
"""A check's name (check_names), and the function that asks AWS and judges the answer."""


def run_checks(checks: Sequence[PreflightCheck], tasks: TaskGroup, again: str) -> list[CheckResult]:
    """Run all checks in parallel, and return their results in order."""
    running = [
        tasks.start(lambda name=name, check=check: _run(name, check, again))
        for name, check in checks
    ]
    return [result for future in running for result in tasks.result(future)]


def require_passed(
    results: Iterable[CheckResult], again: str, refusals: Sequence[VoicecoreError] = ()
) -> None:
    """Raise PreflightFailed, which names every failed check; `again` is the command to repeat.

    `refusals` say what is wrong with the files of images, which no option skips. One that is alone
    is raised as it is.
    """
    failed = [result for result in results if result.outcome is CheckOutcome.FAILED]
    if refusals and not failed and len(refusals) == 1:
        raise refusals[0]
    failed += [
        CheckResult("image", CheckOutcome.FAILED, refusal.message, refusal.hint or "")
        for refusal in refusals
    ]
    if failed:
        raise PreflightFailed(failed, again)


def _run(name: str, check: Callable[[], Iterable[CheckResult]], again: str) -> list[CheckResult]:
    try:
        return [replace(result, name=name) for result in check()]
    except ClientError as error:
        if not is_denied(error):
            raise
        words = translate_error(error, again).message
        return [
            CheckResult(name, CheckOutcome.UNKNOWN, f"could not be checked: {words}", name=name)
        ]

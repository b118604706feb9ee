"""Owns the preflight checks of traces: the agent's package, and CloudWatch's Transaction Search."""

from __future__ import annotations

from collections.abc import Iterator

from voicecore.aws.session import Aws
from voicecore.cloud.observe import transaction_search
from voicecore.cloud.observe.transaction_search import TransactionSearch
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project.project import TRACING_PACKAGE


def trace_results(aws: Aws, deployment: Deployment) -> Iterator[CheckResult]:
    """Yield whether the agent can send traces, and whether AWS keeps them.

    That AWS drops them stops no deploy: calls work without, and the agent starts to be traced when
    Transaction Search is on.
    """
    if deployment.lacks_tracing_package:
        yield CheckResult(
            "traces",
            CheckOutcome.FAILED,
            f"traces = true, and agent/pyproject.toml does not list {TRACING_PACKAGE}",
            f'Add it:  uv add --project agent "{TRACING_PACKAGE}>=0.18"',
        )
    yield search_result(aws, transaction_search.state_of(aws))


def search_result(aws: Aws, state: TransactionSearch) -> CheckResult:
    """Return whether AWS keeps the spans of agents."""
    if state is TransactionSearch.ON:
        return CheckResult("traces", CheckOutcome.PASSED, "Transaction Search is on")
    lost = "" if state is TransactionSearch.UNKNOWN else "; until it is on, no traces are kept"
    return CheckResult(
        "traces",
        CheckOutcome.UNKNOWN,
        "\n".join(
            filter(
                None,
                (
                    f"CloudWatch's Transaction Search is {state} in {aws.region}{lost}",
                    transaction_search.fix_for(aws, state),
                ),
            )
        ),
    )

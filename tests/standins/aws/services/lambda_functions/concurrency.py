"""Owns reserved concurrency, and what it leaves for other functions."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services import quotas
from tests.standins.aws.services.lambda_functions.state import Function, functions_of, get_function
from tests.standins.models.refusal import Refused

CONCURRENCY = ("lambda", "L-B99A9384")
UNRESERVED_MIN = 100  # Lambda Developer Guide, configuration-concurrency


def put_concurrency(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, wanted = get_function(cloud, call), call.params["ReservedConcurrentExecutions"]
    if _unreserved(cloud, call, but=function) - wanted < UNRESERVED_MIN:
        message = (
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )
        raise Refused("InvalidParameterValueException", message, 400)
    function.reserved = wanted
    return {"ReservedConcurrentExecutions": wanted}


def delete_concurrency(cloud: Cloud, call: Call) -> dict[str, Any]:
    get_function(cloud, call).reserved = None
    return {}


def account_settings(cloud: Cloud, call: Call) -> dict[str, Any]:
    total = int(quotas.value(cloud, call.account, call.region, *CONCURRENCY))
    limits = {
        "ConcurrentExecutions": total,
        "UnreservedConcurrentExecutions": _unreserved(cloud, call),
    }
    return {"AccountLimit": limits, "AccountUsage": {}}


def _unreserved(cloud: Cloud, call: Call, but: Function | None = None) -> int:
    total = int(quotas.value(cloud, call.account, call.region, *CONCURRENCY))
    functions = functions_of(cloud, call).values()
    return total - sum(each.reserved or 0 for each in functions if each is not but)

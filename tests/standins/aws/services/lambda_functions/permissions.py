"""Owns the operations on resource policies."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.lambda_functions.state import get_function
from tests.standins.models.refusal import Refused


def add_permission(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, p = get_function(cloud, call), call.params
    if p["StatementId"] in function.policy:
        message = f"The statement id ({p['StatementId']}) provided already exists."
        raise Refused("ResourceConflictException", message, 409)
    condition: dict[str, Any] = {}
    if "FunctionUrlAuthType" in p:
        condition["StringEquals"] = {"lambda:FunctionUrlAuthType": p["FunctionUrlAuthType"]}
    if p.get("InvokedViaFunctionUrl"):
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": "true"}
    statement = {
        "Sid": p["StatementId"],
        "Effect": "Allow",
        "Principal": p["Principal"],
        "Action": p["Action"],
        "Resource": function.arn,
    } | ({"Condition": condition} if condition else {})
    function.policy[p["StatementId"]] = statement
    return {"Statement": json.dumps(statement)}


def remove_permission(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    if call.params["StatementId"] not in function.policy:
        raise _no_policy()
    del function.policy[call.params["StatementId"]]
    return {}


def get_policy(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    if not function.policy:
        raise _no_policy()
    statements = list(function.policy.values())
    document = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": json.dumps(document), "RevisionId": str(uuid.uuid4())}


def _no_policy() -> Refused:
    return Refused("ResourceNotFoundException", "The resource you requested does not exist.", 404)

"""Owns invocations, and the environment of a function's processes."""

from __future__ import annotations

import uuid
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud, new_caller
from tests.standins.aws.services import logs
from tests.standins.aws.services.lambda_functions.containers import Container, Start
from tests.standins.aws.services.lambda_functions.state import Function, get_function


def invoke(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Invoke the function. No lock is held, because the function may call AWS itself."""
    function = get_function(cloud, call)
    invocation = function.pool.invoke(call.params.get("Payload") or b"{}")
    answer = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": invocation.answer}
    return answer | ({"FunctionError": invocation.error} if invocation.error else {})


def new_container(cloud: Cloud, call: Call, function: Function) -> Container:
    """Start another process of the function, with its current role."""
    role = function.settings["Role"].rpartition("/")[2]
    caller = new_caller(call.account, role, partition=call.partition)
    cloud.callers[caller.access_key_id] = caller
    stream = f"{cloud.clock.now():%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
    env = {
        **function.settings.get("Environment", {}),
        **caller.environment(),
        "AWS_REGION": call.region,
        "AWS_DEFAULT_REGION": call.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.settings.get("MemorySize", 128)),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": ":UTC",
    }

    def write(line: str) -> None:
        # The server's role may not create log groups.
        with cloud.lock:
            if function.log_group in get_backend("logs")[call.account][call.region].groups:
                group = function.log_group
                logs.write_lines(cloud, call.account, call.region, group, stream, (line,), None)

    start: Start = cloud.state["containers",]
    command = function.settings.get("ImageConfig", {}).get("Command", [])
    seconds = float(function.settings.get("Timeout", 3))
    return Container(start, command, env, function.arn, seconds, write)

"""Owns the operations on functions: settings, code, concurrency and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.lambda_functions.checks import (
    check_image,
    check_settings,
    require_active,
)
from tests.standins.aws.services.lambda_functions.containers import ContainerPool
from tests.standins.aws.services.lambda_functions.invocation import new_container
from tests.standins.aws.services.lambda_functions.state import Function, functions_of, get_function
from tests.standins.aws.timed_state import timed_state
from tests.standins.models.refusal import Refused

_SETTINGS = ("Role", "Description", "Timeout", "MemorySize", "LoggingConfig", "ImageConfig")


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    functions, p = functions_of(cloud, call), call.params
    name = p["FunctionName"]
    if name in functions:
        raise Refused("ResourceConflictException", f"Function already exist: {name}", 409)
    if p.get("PackageType") != "Image":
        raise Refused("InvalidParameterValueException", "The stand-in supports images only.", 400)
    arn = f"arn:{call.partition}:lambda:{call.region}:{call.account}:function:{name}"
    architecture = p.get("Architectures", ["x86_64"])[0]
    check_image(cloud, call, p["Code"]["ImageUri"], architecture)
    function = Function(
        name,
        arn,
        {},
        p["Code"]["ImageUri"],
        architecture,
        timed_state(cloud.clock, "Pending", "Active", cloud.durations.function),
        _timestamp(cloud),
        ContainerPool(lambda: new_container(cloud, call, function)),
        dict(p.get("Tags", {})),
    )
    _set(function, p)
    functions[name] = function
    return _configuration(cloud, function)


def update_code(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, p = get_function(cloud, call), call.params
    require_active(cloud, function)
    architecture = p.get("Architectures", [function.architecture])[0]
    check_image(cloud, call, p["ImageUri"], architecture)
    function.image, function.architecture = p["ImageUri"], architecture
    return _after_change(cloud, function)


def update_configuration(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    require_active(cloud, function)
    check_settings(cloud, call)
    _set(function, call.params)
    return _after_change(cloud, function)


def _set(function: Function, p: Mapping[str, Any]) -> None:
    function.settings |= {name: p[name] for name in _SETTINGS if name in p}
    if "Environment" in p:
        function.settings["Environment"] = p["Environment"].get("Variables", {})


def _after_change(cloud: Cloud, function: Function) -> dict[str, Any]:
    function.modified = _timestamp(cloud)
    function.state.change(cloud.clock, "Updating", "Active", cloud.durations.function)
    function.pool.retire()
    return _configuration(cloud, function)


def _timestamp(cloud: Cloud) -> str:
    return f"{cloud.clock.now():%Y-%m-%dT%H:%M:%S.000+0000}"


def _configuration(cloud: Cloud, function: Function) -> dict[str, Any]:
    state = function.state.now(cloud.clock)
    settings = {n: v for n, v in function.settings.items() if n in _SETTINGS}
    image = settings.pop("ImageConfig", None)
    return {
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "PackageType": "Image",
        "CodeSize": 0,
        "CodeSha256": function.image.rpartition(":")[2],
        "LastModified": function.modified,
        "Version": "$LATEST",
        "Architectures": [function.architecture],
        "State": "Pending" if state == "Pending" else "Active",
        "LastUpdateStatus": "InProgress" if state == "Updating" else "Successful",
        "Environment": {"Variables": function.settings.get("Environment", {})},
        **settings,
        **({"ImageConfigResponse": {"ImageConfig": image}} if image else {}),
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": function.log_group},
    }


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    return {
        "Configuration": _configuration(cloud, function),
        "Code": {
            "RepositoryType": "ECR",
            "ImageUri": function.image,
            "ResolvedImageUri": function.image,
        },
        "Tags": function.tags,
        **(
            {"Concurrency": {"ReservedConcurrentExecutions": function.reserved}}
            if function.reserved
            else {}
        ),
    }


def get_configuration(cloud: Cloud, call: Call) -> dict[str, Any]:
    return _configuration(cloud, get_function(cloud, call))


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    _stop(function)
    del functions_of(cloud, call)[function.name]
    return {}


def _stop(function: Function) -> None:
    function.pool.retire()
    if function.url:
        function.url.server.shutdown()
        function.url.server.server_close()
        function.url = None


def tag(cloud: Cloud, call: Call) -> dict[str, Any]:
    _tagged(cloud, call).tags.update(call.params["Tags"])
    return {}


def untag(cloud: Cloud, call: Call) -> dict[str, Any]:
    tags = _tagged(cloud, call).tags
    for key in call.params["TagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {"Tags": _tagged(cloud, call).tags}


def _tagged(cloud: Cloud, call: Call) -> Function:
    functions = functions_of(cloud, call)
    name = call.params["Resource"].rpartition(":")[2]
    if name not in functions:
        message = f"Function not found: {call.params['Resource']}"
        raise Refused("ResourceNotFoundException", message, 404)
    return functions[name]

"""Owns the operations on function URLs, and which of them the public may call."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.http.operations import Request, Response
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.lambda_functions.events import event_of, response_of
from tests.standins.aws.services.lambda_functions.state import Function, FunctionUrl, get_function
from tests.standins.models.refusal import Refused

_BODY_BYTES = 6_291_456  # of a request (Lambda quotas)


def create_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    if function.url:
        raise Refused(
            "ResourceConflictException", "FunctionUrlConfig exists for this Lambda function", 409
        )
    letters = string.ascii_lowercase + string.digits
    id = "".join(secrets.choice(letters) for _ in range(32))
    server = Server(lambda request: answer_url(cloud, call, function, request))
    function.url = FunctionUrl(id, call.params["AuthType"], cloud.clock.now().isoformat(), server)
    cloud.start(lambda: server.serve_forever(0.02), f"url of {function.name}")
    return _url(function)


def get_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    url = _url(get_function(cloud, call))
    return url | {"LastModifiedTime": url["CreationTime"]}


def update_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    if function.url:
        function.url.auth = call.params.get("AuthType", function.url.auth)
    return get_url(cloud, call)


def delete_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = get_function(cloud, call)
    _url(function)
    assert function.url is not None
    function.url.server.shutdown()
    function.url.server.server_close()
    function.url = None
    return {}


def _url(function: Function) -> dict[str, Any]:
    if function.url is None:
        raise Refused(
            "ResourceNotFoundException", "The resource you requested does not exist.", 404
        )
    return {
        "FunctionUrl": function.url.address,
        "FunctionArn": function.arn,
        "AuthType": function.url.auth,
        "CreationTime": function.url.created,
        "InvokeMode": "BUFFERED",
    }


def answer_url(cloud: Cloud, call: Call, function: Function, request: Request) -> Response:
    """Answer a request to the function's URL."""
    if function.url is None or not _is_public(function):
        message = (
            "Forbidden. For troubleshooting Function URL authorization issues, see: "
            "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
        )
        return _error_response(403, message, "AccessDeniedException")
    if len(request.body) > _BODY_BYTES:
        return _error_response(413, "Request Too Long", "RequestEntityTooLargeException")
    invocation = function.pool.invoke(json.dumps(event_of(function.url.id, request)).encode())
    if invocation.error:
        return _error_response(502, "Internal Server Error", "InternalServerErrorException")
    return response_of(json.loads(invocation.answer))


def _error_response(status: int, message: str, kind: str) -> Response:
    headers = {"content-type": "application/json", "x-amzn-errortype": kind}
    return Response(status, json.dumps({"Message": message}).encode(), headers)


def _is_public(function: Function) -> bool:
    allowed = {
        (statement["Action"], json.dumps(statement.get("Condition"), sort_keys=True))
        for statement in function.policy.values()
        if statement["Principal"] == "*"
    }
    return (
        function.url is not None
        and function.url.auth == "NONE"
        and {
            (
                "lambda:InvokeFunctionUrl",
                '{"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}',
            ),
            ("lambda:InvokeFunction", '{"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}'),
        }
        <= allowed
    )

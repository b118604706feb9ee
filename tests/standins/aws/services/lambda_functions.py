"""Owns Lambda functions of container images, their URLs and resource policies.

It covers what a public function URL needs: images in ECR, resource policies (both statements that
such URLs need since October 2025), states, and the Runtime API to real processes.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud, new_caller
from tests.standins.aws.http.operations import Request, Response
from tests.standins.aws.http.server import Server
from tests.standins.aws.services import logs, quotas
from tests.standins.aws.services.ecr import Registry, sync_registry
from tests.standins.aws.services.lambda_containers import Container, ContainerPool, Start
from tests.standins.aws.timed_state import TimedState, timed_state
from tests.standins.models.refusal import Refused

CONCURRENCY = ("lambda", "L-B99A9384")
UNRESERVED_MIN = 100  # Lambda Developer Guide, configuration-concurrency

_ENVIRONMENT_BYTES = 4096
_RESERVED = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_RUNTIME_API")
_BODY_BYTES = 6_291_456  # of a request (Lambda quotas)
_SETTINGS = ("Role", "Description", "Timeout", "MemorySize", "LoggingConfig", "ImageConfig")


@dataclass
class Function:
    """A function and its URL."""

    name: str
    arn: str
    settings: dict[str, Any]
    image: str
    architecture: str
    state: TimedState
    modified: str
    pool: ContainerPool
    tags: dict[str, str]
    policy: dict[str, dict[str, Any]] = field(default_factory=dict)
    reserved: int | None = None
    url: FunctionUrl | None = None

    @property
    def log_group(self) -> str:
        return self.settings.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{self.name}"


@dataclass
class FunctionUrl:
    """The URL of a function."""

    id: str
    auth: str
    created: str
    server: Server

    @property
    def address(self) -> str:
        # At least 40 characters, as in AWS; a port may start with zeros (RFC 3986, 3.2.3).
        host, _, port = self.server.url.rpartition(":")
        return f"{host}:{port:0>{40 - len(host) - 2}}/"


def _functions(cloud: Cloud, call: Call) -> dict[str, Function]:
    return cloud.setdefault(dict, "functions", *call.account_region)


def _found(cloud: Cloud, call: Call) -> Function:
    functions = _functions(cloud, call)
    name = call.params["FunctionName"].rpartition(":")[2]
    if name not in functions:
        arn = f"arn:aws:lambda:{call.region}:{call.account}:function:{name}"
        raise Refused("ResourceNotFoundException", f"Function not found: {arn}", 404)
    return functions[name]


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    functions, p = _functions(cloud, call), call.params
    name = p["FunctionName"]
    if name in functions:
        raise Refused("ResourceConflictException", f"Function already exist: {name}", 409)
    if p.get("PackageType") != "Image":
        raise Refused("InvalidParameterValueException", "The stand-in supports images only.", 400)
    arn = f"arn:aws:lambda:{call.region}:{call.account}:function:{name}"
    architecture = p.get("Architectures", ["x86_64"])[0]
    _check(cloud, call, p["Code"]["ImageUri"], architecture)
    function = Function(
        name,
        arn,
        {},
        p["Code"]["ImageUri"],
        architecture,
        timed_state(cloud.clock, "Pending", "Active", cloud.durations.function),
        _timestamp(cloud),
        ContainerPool(lambda: _container(cloud, call, function)),
        dict(p.get("Tags", {})),
    )
    _set(function, p)
    functions[name] = function
    return _configuration(cloud, function)


def update_code(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, p = _found(cloud, call), call.params
    _require_active(cloud, function)
    architecture = p.get("Architectures", [function.architecture])[0]
    _check(cloud, call, p["ImageUri"], architecture)
    function.image, function.architecture = p["ImageUri"], architecture
    return _after_change(cloud, function)


def update_configuration(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
    _require_active(cloud, function)
    _check_settings(cloud, call)
    _set(function, call.params)
    return _after_change(cloud, function)


def put_concurrency(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, wanted = _found(cloud, call), call.params["ReservedConcurrentExecutions"]
    if _unreserved(cloud, call, but=function) - wanted < UNRESERVED_MIN:
        message = (
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )
        raise Refused("InvalidParameterValueException", message, 400)
    function.reserved = wanted
    return {"ReservedConcurrentExecutions": wanted}


def delete_concurrency(cloud: Cloud, call: Call) -> dict[str, Any]:
    _found(cloud, call).reserved = None
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
    functions = _functions(cloud, call).values()
    return total - sum(each.reserved or 0 for each in functions if each is not but)


def _set(function: Function, p: Mapping[str, Any]) -> None:
    function.settings |= {name: p[name] for name in _SETTINGS if name in p}
    if "Environment" in p:
        function.settings["Environment"] = p["Environment"].get("Variables", {})


def _after_change(cloud: Cloud, function: Function) -> dict[str, Any]:
    function.modified = _timestamp(cloud)
    function.state.change(cloud.clock, "Updating", "Active", cloud.durations.function)
    function.pool.retire()
    return _configuration(cloud, function)


def _require_active(cloud: Cloud, function: Function) -> None:
    if function.state.now(cloud.clock) != "Active":
        message = (
            "The operation cannot be performed at this time. An update is in progress for "
            f"resource: {function.arn}"
        )
        raise Refused("ResourceConflictException", message, 409)


def _check(cloud: Cloud, call: Call, image: str, architecture: str) -> None:
    """Raise Lambda's error for an image or settings that it rejects."""
    _check_settings(cloud, call)
    repository, _, digest = image.partition("/")[2].partition("@")
    sync_registry(cloud, call.account, call.region)
    found = get_backend("ecr")[call.account][call.region].repositories.get(repository)
    if found is None or digest not in {i.get_image_digest() for i in found.images}:
        message = f"Source image {image} does not exist. Provide a valid source image."
        raise Refused("InvalidParameterValueException", message, 400)
    # Lambda would add the policy if the caller may change it; relying on that is an error here.
    if "lambda.amazonaws.com" not in str(found.policy):
        message = (
            "Lambda does not have permission to access the ECR image. Check the ECR permissions."
        )
        raise Refused("AccessDeniedException", message, 403)
    registry: Registry | None = cloud.state.get(("registry",))
    wanted = {"x86_64": "amd64"}.get(architecture, architecture)
    if registry and wanted not in registry.architectures(repository, digest):
        message = f"The image manifest is of another architecture than {architecture}."
        raise Refused("InvalidParameterValueException", message, 400)


def _check_settings(cloud: Cloud, call: Call) -> None:
    p = call.params
    variables: dict[str, str] = p.get("Environment", {}).get("Variables", {})
    if reserved := [name for name in variables if name in _RESERVED]:
        message = (
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
        raise Refused("InvalidParameterValueException", message, 400)
    if sum(len(k) + len(v) for k, v in variables.items()) > _ENVIRONMENT_BYTES:
        message = (
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the {_ENVIRONMENT_BYTES} bytes limit."
        )
        raise Refused("InvalidParameterValueException", message, 400)
    if "Role" not in p:
        return
    role = get_backend("iam")[call.account]["aws"].get_role_by_arn(p["Role"])
    if "lambda.amazonaws.com" not in str(role.assume_role_policy_document):
        message = "The role defined for the function cannot be assumed by Lambda."
        raise Refused("InvalidParameterValueException", message, 400)


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
    function = _found(cloud, call)
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
    return _configuration(cloud, _found(cloud, call))


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
    _stop(function)
    del _functions(cloud, call)[function.name]
    return {}


def _stop(function: Function) -> None:
    function.pool.retire()
    if function.url:
        function.url.server.shutdown()
        function.url.server.server_close()
        function.url = None


def create_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
    if function.url:
        raise Refused(
            "ResourceConflictException", "FunctionUrlConfig exists for this Lambda function", 409
        )
    letters = string.ascii_lowercase + string.digits
    id = "".join(secrets.choice(letters) for _ in range(32))
    server = Server(lambda request: _answer_url(cloud, call, function, request))
    function.url = FunctionUrl(id, call.params["AuthType"], cloud.clock.now().isoformat(), server)
    cloud.start(lambda: server.serve_forever(0.02), f"url of {function.name}")
    return _url(function)


def get_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    url = _url(_found(cloud, call))
    return url | {"LastModifiedTime": url["CreationTime"]}


def update_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
    if function.url:
        function.url.auth = call.params.get("AuthType", function.url.auth)
    return get_url(cloud, call)


def delete_url(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
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


def add_permission(cloud: Cloud, call: Call) -> dict[str, Any]:
    function, p = _found(cloud, call), call.params
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
    function = _found(cloud, call)
    if call.params["StatementId"] not in function.policy:
        raise _no_policy()
    del function.policy[call.params["StatementId"]]
    return {}


def get_policy(cloud: Cloud, call: Call) -> dict[str, Any]:
    function = _found(cloud, call)
    if not function.policy:
        raise _no_policy()
    statements = list(function.policy.values())
    document = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": json.dumps(document), "RevisionId": str(uuid.uuid4())}


def _no_policy() -> Refused:
    return Refused("ResourceNotFoundException", "The resource you requested does not exist.", 404)


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
    functions = _functions(cloud, call)
    name = call.params["Resource"].rpartition(":")[2]
    if name not in functions:
        message = f"Function not found: {call.params['Resource']}"
        raise Refused("ResourceNotFoundException", message, 404)
    return functions[name]


def invoke(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Invoke the function. No lock is held, because the function may call AWS itself."""
    function = _found(cloud, call)
    invocation = function.pool.invoke(call.params.get("Payload") or b"{}")
    answer = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": invocation.answer}
    return answer | ({"FunctionError": invocation.error} if invocation.error else {})


def _container(cloud: Cloud, call: Call, function: Function) -> Container:
    """Start another process of the function, with its current role."""
    role = function.settings["Role"].rpartition("/")[2]
    caller = new_caller(call.account, role)
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


def _answer_url(cloud: Cloud, call: Call, function: Function, request: Request) -> Response:
    """Answer a request to the function's URL."""
    if function.url is None or not _is_public(function):
        message = (
            "Forbidden. For troubleshooting Function URL authorization issues, see: "
            "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
        )
        return _error_response(403, message, "AccessDeniedException")
    if len(request.body) > _BODY_BYTES:
        return _error_response(413, "Request Too Long", "RequestEntityTooLargeException")
    invocation = function.pool.invoke(json.dumps(_event(function.url.id, request)).encode())
    if invocation.error:
        return _error_response(502, "Internal Server Error", "InternalServerErrorException")
    return _response(json.loads(invocation.answer))


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


def _event(id: str, request: Request) -> dict[str, Any]:
    """Return the request as an event, payload format 2.0."""
    headers = {k: v for k, v in request.headers.items() if k not in ("connection", "cookie")}
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        "headers": headers | {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": id,
            "domainName": f"{id}.lambda-url.us-east-1.on.aws",
            "domainPrefix": id,
            "http": {
                "method": request.method,
                "path": unquote(request.path),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if request.query:
        event["queryStringParameters"] = dict(parse_qsl(request.query, keep_blank_values=True))
    if cookies := request.headers.get("cookie"):
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if request.body:
        text = headers.get("content-type", "").startswith(("text/", "application/json"))
        event["isBase64Encoded"] = not text
        event["body"] = request.body.decode() if text else base64.b64encode(request.body).decode()
    return event


def _response(answer: Any) -> Response:
    """Return the function's answer as HTTP; without a statusCode, it is a JSON body."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, json.dumps(answer).encode(), {"content-type": "application/json"})
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    headers = {name.lower(): str(value) for name, value in answer.get("headers", {}).items()}
    headers.setdefault("content-type", "application/json")
    return Response(int(answer["statusCode"]), content, headers)


def close(cloud: Cloud) -> None:
    """Stop all functions."""
    for _, functions in cloud.all_of("functions"):
        for function in functions.values():
            _stop(function)


HANDLERS = {
    ("lambda", "CreateFunction"): create,
    ("lambda", "UpdateFunctionCode"): update_code,
    ("lambda", "UpdateFunctionConfiguration"): update_configuration,
    ("lambda", "PutFunctionConcurrency"): put_concurrency,
    ("lambda", "DeleteFunctionConcurrency"): delete_concurrency,
    ("lambda", "GetAccountSettings"): account_settings,
    ("lambda", "GetFunction"): get,
    ("lambda", "GetFunctionConfiguration"): get_configuration,
    ("lambda", "DeleteFunction"): delete,
    ("lambda", "CreateFunctionUrlConfig"): create_url,
    ("lambda", "GetFunctionUrlConfig"): get_url,
    ("lambda", "UpdateFunctionUrlConfig"): update_url,
    ("lambda", "DeleteFunctionUrlConfig"): delete_url,
    ("lambda", "AddPermission"): add_permission,
    ("lambda", "RemovePermission"): remove_permission,
    ("lambda", "GetPolicy"): get_policy,
    ("lambda", "TagResource"): tag,
    ("lambda", "UntagResource"): untag,
    ("lambda", "ListTags"): list_tags,
    ("lambda", "Invoke"): invoke,
}

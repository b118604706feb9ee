"""Owns the conversion between HTTP and service operations, by botocore's models.

moto parses and serializes by the same models. Here, requests are checked against them, including
lengths, ranges, enumerations and patterns, and so are answers.
"""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.parsers import create_parser
from botocore.validate import ParamValidator
from moto.core.eventstream import EventStream, EventStreamEncoder
from moto.core.model import ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SERIALIZERS, SerializationContext
from werkzeug.datastructures import Headers, MultiDict

from tests.standins.models.refusal import Refused

LOADER = Loader()
"""Loads each of botocore's models once for the whole stand-in."""

# Services whose signing name is not their own, or is shared.
_SIGNED_AS = {
    "bedrock-agentcore": ("bedrock-agentcore-control", "bedrock-agentcore"),
    "kinesisvideo": ("kinesis-video-signaling", "kinesisvideo"),
    "elasticloadbalancing": ("elbv2",),
    "servicequotas": ("service-quotas",),
    "tagging": ("resourcegroupstaggingapi",),
    "monitoring": ("cloudwatch",),
    "bedrock": ("bedrock", "bedrock-runtime"),
}

# IAM prefixes that are not the service's name.
_IAM_PREFIX = {
    "elbv2": "elasticloadbalancing",
    "bedrock-agentcore-control": "bedrock-agentcore",
    "kinesis-video-signaling": "kinesisvideo",
    "service-quotas": "servicequotas",
    "resourcegroupstaggingapi": "tag",
}

# Each protocol's codes of the errors that every service has.
_COMMON = {
    "query": {"AccessDenied": ("AccessDenied", 403), "Throttling": ("Throttling", 400),
              "Expired": ("ExpiredToken", 403), "Unknown": ("InvalidClientTokenId", 403),
              "Signature": ("SignatureDoesNotMatch", 403), "Validation": ("ValidationError", 400)},
    "ec2": {"AccessDenied": ("UnauthorizedOperation", 403),
            "Throttling": ("RequestLimitExceeded", 503), "Expired": ("RequestExpired", 400),
            "Unknown": ("AuthFailure", 401), "Signature": ("AuthFailure", 401),
            "Validation": ("InvalidParameterValue", 400)},
    "json": {"AccessDenied": ("AccessDeniedException", 400),
             "Throttling": ("ThrottlingException", 400),
             "Expired": ("ExpiredTokenException", 400),
             "Unknown": ("UnrecognizedClientException", 400),
             "Signature": ("InvalidSignatureException", 400),
             "Validation": ("ValidationException", 400)},
    "rest-json": {"AccessDenied": ("AccessDeniedException", 403),
                  "Throttling": ("ThrottlingException", 429),
                  "Expired": ("ExpiredTokenException", 403),
                  "Unknown": ("UnrecognizedClientException", 403),
                  "Signature": ("InvalidSignatureException", 403),
                  "Validation": ("ValidationException", 400)},
    "rest-xml": {"AccessDenied": ("AccessDenied", 403), "Throttling": ("SlowDown", 503),
                 "Expired": ("ExpiredToken", 400), "Unknown": ("InvalidAccessKeyId", 403),
                 "Signature": ("SignatureDoesNotMatch", 403),
                 "Validation": ("InvalidRequest", 400)},
}  # fmt: skip

# AWS answers these although its own model does not have them: states of stacks in stack events,
# the type of AgentCore's interfaces, and user names and passwords of TURN.
_KNOWN_DEVIATIONS = re.compile(
    r"Value '(REVIEW_IN_PROGRESS|UPDATE_\w*COMPLETE_CLEANUP_IN_PROGRESS)' at 'StackEvents"
    r"|Value 'agentic_ai' at 'NetworkInterfaces"
    r"|at 'IceServerList.member.(Username|Password)' failed to satisfy constraint: "
    r"Member must satisfy regular expression"
)


@dataclass(frozen=True)
class Request:
    """An HTTP request as it arrived: `path` and `query` still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """An HTTP response; a `stream` is sent piece by piece instead of the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None


@dataclass(frozen=True)
class Operation:
    """The operation that a request calls."""

    model: Any  # OperationModel, see service_model
    params: dict[str, Any]

    @property
    def service(self) -> str:
        return self.model.service_model.service_name

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def protocol(self) -> str:
        return self.model.service_model.resolved_protocol

    @property
    def action(self) -> str:
        return f"{_IAM_PREFIX.get(self.service, self.service)}:{self.name}"


@functools.cache
def service_model(name: str) -> Any:
    """Return a service's model; Any, because botocore's CachedProperty hides every type."""
    return ServiceModel(LOADER.load_service_model(name, "service-2"), name)


def common_error(service: str, kind: str, message: str) -> Refused:
    """Return an error that every service has, in this one's protocol; `kind` is a key above."""
    code, status = _COMMON[service_model(service).resolved_protocol][kind]
    return Refused(code, message, status)


def services_of(signing_name: str) -> tuple[str, ...]:
    return _SIGNED_AS.get(signing_name, (signing_name,))


def find_operation(request: Request, services: tuple[str, ...]) -> Operation | None:
    """Return the operation of one of the services that the request calls; None if unknown."""
    for name in services:
        model = service_model(name)
        found = _match(request, model)
        if found is not None:
            operation, uri = found
            return Operation(operation, _parse(request, operation, uri))
    return None


def _match(request: Request, model: Any) -> tuple[Any, dict[str, str]] | None:
    protocol = model.resolved_protocol
    if protocol in ("query", "ec2"):
        name = dict(parse_qsl(request.body.decode())).get("Action", "")
        return (model.operation_model(name), {}) if name in model.operation_names else None
    if protocol == "json":
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        return (model.operation_model(name), {}) if name in model.operation_names else None
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    best: tuple[int, str, dict[str, str]] | None = None
    for name, method, path, literals, required, weight in _routes(model.service_name):
        matches = literals.items() <= given.items() and required <= request.headers.keys()
        if method == request.method and matches:
            found = path.fullmatch(request.path)
            if found and (best is None or weight > best[0]):
                best = (weight, name, {k: unquote(v) for k, v in found.groupdict().items()})
    return (model.operation_model(best[1]), best[2]) if best else None


@functools.cache
def _routes(
    service: str,
) -> list[tuple[str, str, re.Pattern[str], dict[str, str], frozenset[str], int]]:
    """Return name, method, path, query, required headers and weight of each operation."""
    model = service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        literals = dict(parse_qsl(query, keep_blank_values=True))
        shape = model.operation_model(name).input_shape
        members = [shape.members[each].serialization for each in shape.required_members]
        # Only these distinguish S3's CopyObject from PutObject.
        required = frozenset(m["name"].lower() for m in members if m.get("location") == "header")
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
        pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", pattern).rstrip("/") + "/?"
        weight = 100 * len(literals) + path.count("/") * 10 - path.count("{")
        routes.append((name, http["method"], re.compile(pattern), literals, required, weight))
    return routes


def _parse(request: Request, operation: Any, uri: dict[str, str]) -> dict[str, Any]:
    protocol = operation.service_model.resolved_protocol
    text = (
        request.query + "&" + request.body.decode()
        if protocol in ("query", "ec2")
        else request.query
    )
    values = MultiDict(parse_qsl(text, keep_blank_values=True))
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    # moto parses every payload as a document, but S3 objects are blobs.
    is_blob = payload and shape.members[payload].type_name == "blob"
    parsed = PROTOCOL_PARSERS[protocol](operation).parse(
        {
            "body": b"" if is_blob else request.body,
            "headers": Headers(list(request.headers.items())),
            "method": request.method,
            "url_params": uri,
            "url_path": request.path,
            "values": values,
        }
    )
    return parsed | ({payload: request.body} if is_blob else {})


def check_request(operation: Operation) -> None:
    """Raise the service's validation error if the request does not match botocore's model."""
    shape = operation.model.input_shape
    mistakes = list(_mistakes(operation.params, shape, "")) if shape else []
    report = ParamValidator().validate(operation.params, shape).generate_report() if shape else ""
    if report or mistakes:
        count = len(mistakes) or 1
        message = f"{count} validation error{'s' * (count > 1)} detected: "
        raise common_error(
            operation.service, "Validation", message + "; ".join(mistakes or [report])
        )


def _mistakes(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Yield what AWS checks and botocore's client does not."""
    limits = shape.metadata
    said = f"Value {value!r} at '{where}' failed to satisfy constraint: Member must"
    if isinstance(value, Mapping):
        members = getattr(shape, "members", None)
        for key, inner in value.items():
            inner_shape = members.get(key) if members is not None else getattr(shape, "value", None)
            if inner_shape is not None:
                yield from _mistakes(inner, inner_shape, f"{where}.{key}".lstrip("."))
            if members is None and getattr(shape, "key", None) is not None:
                yield from _mistakes(key, shape.key, f"{where}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _mistakes(inner, shape.member, f"{where}.member")
    elif isinstance(value, str):
        if shape.enum if hasattr(shape, "enum") else ():
            if value not in shape.enum:
                yield f"{said} satisfy enum value set: {list(shape.enum)}"
        elif "pattern" in limits and not _matches(limits["pattern"], value):
            yield f"{said} satisfy regular expression pattern: {limits['pattern']}"
    size = len(value) if isinstance(value, str | list | Mapping | bytes) else value
    if (
        isinstance(size, int | float)
        and not isinstance(size, bool)
        and shape.type_name != "boolean"
    ):
        what = "have length" if size is not value else "have value"
        if "min" in limits and size < limits["min"]:
            yield f"{said} {what} greater than or equal to {limits['min']}"
        if "max" in limits and size > limits["max"]:
            yield f"{said} {what} less than or equal to {limits['max']}"


def _matches(pattern: str, value: str) -> bool:
    # Java's classes of Unicode characters in Python's syntax.
    for java, python in (("\\p{L}\\p{Z}\\p{N}", "\\w\\s"), ("\\p{L}", "\\w"), ("\\p{N}", "\\d"),
                         ("\\p{Z}", "\\s"), ("\\p{ASCII}", "\\x00-\\x7f")):  # fmt: skip
        pattern = pattern.replace(java, python)
    try:
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    except re.error:
        return True  # Java syntax that Python lacks


def serialize(operation: Operation, result: dict[str, Any], request_id: str) -> Response:
    """Return the HTTP response. Raises AssertionError if AWS would never answer this."""
    shape = operation.model.output_shape
    if operation.model.has_event_stream_output:
        headers = {"content-type": "application/vnd.amazon.eventstream"}
        return Response(200, b"", headers, _events(operation, result))
    if shape is not None:
        report = ParamValidator().validate(result, shape).generate_report()
        mistakes = [report, *_answer_mistakes(result, shape)]
        assert not any(mistakes), f"the stand-in's answer to {operation.action}: {mistakes}"
    context = SerializationContext(request_id)
    made = SERIALIZERS[operation.protocol](operation.model, context=context).serialize(result)
    body = made["body"].encode() if isinstance(made["body"], str) else made["body"]
    return Response(made["status_code"], body, {**made["headers"], "x-amzn-requestid": request_id})


def _events(operation: Operation, result: dict[str, Any]) -> Iterator[bytes]:
    serializer = SERIALIZERS[operation.protocol](operation.model)
    encoder = EventStreamEncoder()
    stream = EventStream(result, operation.model.output_shape, serializer._event_stream_serializer)
    for event in stream:
        yield encoder.encode_event(event)


def _answer_mistakes(value: Any, shape: Any) -> Iterator[str]:
    unknown = set(value) - set(shape.members)
    if unknown:
        yield f"unknown members {sorted(unknown)}"
    for mistake in _mistakes(value, shape, ""):
        if not _KNOWN_DEVIATIONS.search(mistake):
            yield mistake


def serialize_error(operation: Operation, refused: Refused, request_id: str) -> Response:
    """Return an error as an HTTP response in the operation's protocol."""
    kind, message, status = refused.kind, refused.message, refused.status
    if kind == "Throttling":
        kind, status = _COMMON[operation.protocol]["Throttling"]
    headers = {"x-amzn-requestid": request_id}
    if operation.protocol in ("json", "rest-json"):
        extra = getattr(refused, "more", {})
        return Response(
            status,
            json.dumps({"__type": kind, "message": message, **extra}).encode(),
            {**headers, "content-type": "application/json", "x-amzn-errortype": kind},
        )
    said = f"<Code>{escape(kind)}</Code><Message>{escape(message)}</Message>"
    if operation.protocol == "ec2":
        text = (
            f"<Response><Errors><Error>{said}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif operation.protocol == "query":
        text = (f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>")  # fmt: skip
    else:
        text = f"<Error>{said}<RequestId>{request_id}</RequestId></Error>"
    return Response(status, text.encode(), {**headers, "content-type": "text/xml"})


def parse_response(operation: Operation, response: Response) -> dict[str, Any]:
    """Parse moto's response to this operation. Raises Refused if it is an error."""
    parser = create_parser(operation.protocol)
    raw = {
        "status_code": response.status,
        "headers": _Headers(response.headers),
        "body": response.body,
    }
    result = parser.parse(raw, operation.model.output_shape)
    if response.status >= 300:
        error = result.get("Error", {})
        raise Refused(error.get("Code", "Unknown"), error.get("Message", ""), response.status)
    result.pop("ResponseMetadata", None)
    return result


class _Headers(dict[str, str]):
    """Headers whose names ignore case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({k.lower(): v for k, v in headers.items()})

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())


def new_request_id() -> str:
    return str(uuid.uuid4())

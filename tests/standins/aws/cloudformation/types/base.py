"""Owns what every resource type has: its functions, its context, and errors in events.

All work is done by calls to the services, as the caller; a new type is one more record.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Caller, Cloud
from tests.standins.aws.http.operations import new_request_id

Properties = Mapping[str, Any]


class Failed(Exception):
    """A resource could not be created, updated or deleted; the message is the event's reason."""


@dataclass
class Context:
    """The region, caller and stack for which a resource is handled."""

    cloud: Cloud
    region: str
    caller: Caller
    stack: str
    logical: str
    tags: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.cloud.client(service, self.region, self.caller, "cloudformation")

    def name(self, limit: int = 64) -> str:
        """Return a generated name in CloudFormation's format."""
        letters = string.ascii_uppercase + string.digits
        end = "".join(secrets.choice(letters) for _ in range(12))
        return f"{self.stack}-{self.logical}"[: limit - 13] + f"-{end}"

    def pairs(self) -> list[dict[str, str]]:
        return tag_pairs(self.tags)


def tag_pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def do_nothing(*_: Any) -> None:
    return None


def always(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class ResourceType:
    """The functions of one resource type.

    `create` returns the physical ID. `settled` and `gone` return True when creation or deletion is
    complete, and raise Failed if it never will be. `attributes` returns what GetAtt reads; it
    raises ClientError or Failed when the resource does not exist. `update` is None for types that
    cannot be updated in place.
    """

    create: Callable[[Context, Properties], str]
    delete: Callable[[Context, str, Properties], None]
    attributes: Callable[[Context, str], dict[str, Any]]
    update: Callable[[Context, str, Properties, Properties], None] | None = None
    settled: Callable[[Context, str], bool] = always
    gone: Callable[[Context, str], bool] = always
    retag: Callable[[Context, str, dict[str, str], list[str]], None] = do_nothing
    named_by: str | None = None
    in_use: tuple[str, ...] = ()  # errors of `delete` that CloudFormation retries


def is_true(value: Any) -> bool:
    return value is True or value == "true"


def json_text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def as_request(value: Any, shape: Any) -> Any:
    """Return properties under the names of the service's request."""
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        return {
            members[key.lower()]: as_request(inner, shape.members[members[key.lower()]])
            for key, inner in value.items()
            if key.lower() in members
        }
    if shape.type_name == "list":
        return [as_request(inner, shape.member) for inner in value]
    if shape.type_name == "integer":
        return int(value)
    if shape.type_name == "boolean":
        return is_true(value)
    return value


def handler_reason(message: str, code: str) -> str:
    return (
        f'Resource handler returned message: "{message}" '
        f"(RequestToken: {new_request_id()}, HandlerErrorCode: {code})"
    )


_CODES = {
    "AccessDenied": "AccessDenied", "AccessDeniedException": "AccessDenied",
    "UnauthorizedOperation": "AccessDenied", "ConflictException": "AlreadyExists",
    "EntityAlreadyExists": "AlreadyExists", "RepositoryAlreadyExistsException": "AlreadyExists",
    "ResourceAlreadyExistsException": "AlreadyExists", "ResourceExistsException": "AlreadyExists",
    "ResourceInUseException": "AlreadyExists", "AddressLimitExceeded": "ServiceLimitExceeded",
    "VpcLimitExceeded": "ServiceLimitExceeded",
    "ServiceQuotaExceededException": "ServiceLimitExceeded",
    "NatGatewayLimitExceeded": "ServiceLimitExceeded", "ResourceNotFoundException": "NotFound",
    "ValidationException": "InvalidRequest", "ThrottlingException": "Throttling",
}  # fmt: skip


def event_reason(error: ClientError, service: str) -> str:
    """Return the reason of an event about a service's error."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    request = error.response["ResponseMetadata"].get("RequestId", "")
    text = f"{message} (Service: {service}, Status Code: {status}, Request ID: {request})"
    return handler_reason(text, _CODES.get(code, "GeneralServiceException"))

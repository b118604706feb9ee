"""Owns properties as requests: names of the API's members, and secrets resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    as_request,
)

_SECRET = re.compile(r"\{\{resolve:secretsmanager:(.+?):SecretString:([^:}]*)(?::[^}]*)?\}\}")


def request_for(c: Context, service: str, operation: str, p: Properties) -> dict[str, Any]:
    """Return the properties under the names of the operation's members; others are rejected."""
    shape = c.client(service).meta.service_model.operation_model(operation).input_shape
    return as_request(with_secrets(c, p), shape)


def with_secrets(c: Context, value: Any) -> Any:
    """Resolve dynamic references to secrets (CloudFormation User Guide, dynamic-references)."""
    match value:
        case str():
            return _SECRET.sub(lambda found: _secret(c, *found.groups()), value)
        case list():
            return [with_secrets(c, each) for each in value]
        case Mapping():
            return {key: with_secrets(c, each) for key, each in value.items()}
        case _:
            return value


def _secret(c: Context, id: str, key: str) -> str:
    text = c.client("secretsmanager").get_secret_value(SecretId=id)["SecretString"]
    return json.loads(text)[key] if key else text

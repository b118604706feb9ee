"""Owns the check of requests and answers against botocore's models of the AWS services."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast

from botocore.model import Shape, StringShape
from botocore.session import Session
from botocore.validate import ParamValidator

from tests.standins.models.refusal import invalid


@functools.cache
def service(name: str) -> Any:
    """Return a service's model; Any, because botocore's CachedProperty hides every type."""
    return Session().get_service_model(name)


def check_request(model: Any, operation: str, request: Mapping[str, Any]) -> None:
    """Raise Refused (ValidationException) unless the request fits the operation's input."""
    shape = model.operation_model(operation).input_shape
    mistakes = _mistakes(request, shape)
    if mistakes:
        raise invalid(mistakes)


def check_answer(model: Any, shape: str, answer: Mapping[str, Any]) -> None:
    """Raise AssertionError if a stand-in is about to send an answer that AWS never sends."""
    mistakes = _mistakes(answer, model.shape_for(shape))
    assert not mistakes, f"the stand-in's {shape} is wrong: {mistakes}"


def _mistakes(value: Mapping[str, Any], shape: Shape | None) -> str:
    report = ParamValidator().validate(value, shape)
    return "\n".join(filter(None, (report.generate_report(), *_wrong_enums(value, shape))))


def _wrong_enums(value: Any, shape: Shape | None, name: str = "") -> list[str]:
    """Return the values outside their enumeration, which botocore does not check."""
    if isinstance(shape, StringShape):
        known = cast(Any, shape.enum)
        if known and value not in known:
            return [f"Value {value!r} at {name} must be one of {list(known)}"]
        return []
    if isinstance(value, dict):
        members = getattr(shape, "members", {})
        return [
            wrong
            for key, inner in value.items()
            if key in members
            for wrong in _wrong_enums(inner, members[key], f"{name}.{key}".strip("."))
        ]
    if isinstance(value, list):
        member = getattr(shape, "member", None)
        return [wrong for inner in value for wrong in _wrong_enums(inner, member, f"{name}[]")]
    return []

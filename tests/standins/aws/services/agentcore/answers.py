"""Owns the errors and answers that all operations share."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call
from tests.standins.aws.services.agentcore.state import RegionState
from tests.standins.models.refusal import Refused


def not_found(title: str) -> Refused:
    return Refused("ResourceNotFoundException", f"{title} was not found.", 404)


def invalid(message: str) -> Refused:
    return Refused("ValidationException", message, 400)


def page_of(call: Call, name: str, listed: list[dict[str, Any]]) -> dict[str, Any]:
    start, size = int(call.params.get("nextToken", 0)), call.params.get("maxResults", 10)
    answer: dict[str, Any] = {name: listed[start : start + size]}
    if start + size < len(listed):
        answer["nextToken"] = str(start + size)
    return answer


def repeated_answer(regional: RegionState, params: dict[str, Any]) -> dict[str, Any] | None:
    token = params.get("clientToken")
    if token not in regional.tokens:
        return None
    before, answer = regional.tokens[token]
    if before != params:
        message = "The client token was used before with other parameters."
        raise Refused("ConflictException", message, 409)
    return answer


def remember(regional: RegionState, params: dict[str, Any], answer: dict[str, Any]) -> None:
    if token := params.get("clientToken"):
        regional.tokens[token] = (params, answer)

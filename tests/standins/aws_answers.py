"""Owns an AWS whose operations return fixed answers, for rules that read one or two of them.

It checks no parameters; `tests/standins/aws` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

Answers = Mapping[str, Any]
"""Answer of each operation, as boto3 names it; an exception is raised."""


class ClientAnswers:
    """A boto3 client of one service; its paginators return the answer as one page."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**_: Any) -> Any:
            answer = self._answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_paginator(self, operation: str) -> Any:
        call = getattr(self, operation)
        return SimpleNamespace(paginate=lambda **_: [call()])


@dataclass(frozen=True)
class AwsAnswers:
    """One account in one region; `services` has the answers of each service."""

    services: Mapping[str, Answers]
    region: str = "us-east-1"
    account: str = "123456789012"

    def client(self, service: str) -> ClientAnswers:
        return ClientAnswers(self.services[service])

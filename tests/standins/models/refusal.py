"""Owns refusals: one exception, which each stand-in turns into its service's error shape."""

from __future__ import annotations

import json


class Refused(Exception):
    """A request that AWS refuses. `kind` is the exception's name in the service's own model."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": "application/json", "x-amzn-errortype": self.kind}

    @property
    def body(self) -> bytes:
        return json.dumps({"message": self.message}).encode()


def invalid(message: str) -> Refused:
    return Refused("ValidationException", message)

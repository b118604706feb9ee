"""How AWS says no: one exception that `wire` turns into each protocol's error."""

from __future__ import annotations


class Refused(Exception):
    """A request that AWS refuses. `kind` is the error's code on the wire."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status

"""What the server refuses, in one form for all its routes."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal: its HTTP status, a code for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

"""Owns the account that is probed: its clients, waits, and the undoing of all that was created."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_GONE = (
    "NoSuchEntity", "ResourceNotFoundException", "RepositoryNotFoundException", "ValidationError",
)  # fmt: skip
_UNDO_SECONDS = 300


class Unanswered(Exception):
    """A probe has no answer; the text says why."""


class Stopped(Unanswered):
    """The run was stopped, or its time is over."""


@dataclass
class Account:
    """An account and region, with a name that all resources of this run begin with."""

    session: boto3.Session
    name: str
    deadline: float
    """Time (`time.monotonic`) at which probes give up."""
    stop: threading.Event = field(default_factory=threading.Event)
    _undo: list[tuple[str, Callable[[], object]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def region(self) -> str:
        return self.session.region_name or ""

    @property
    def underscored(self) -> str:
        """The name as AgentCore allows it."""
        return self.name.replace("-", "_")

    def client(self, service: str, session: boto3.Session | None = None) -> Any:
        """Return a client; `session` is that of another identity."""
        config = Config(retries={"mode": "standard", "total_max_attempts": 5})
        with self._lock:  # boto3 creates clients in one thread at a time
            return (session or self.session).client(service, config=config)

    def later(self, title: str, undo: Callable[[], object]) -> None:
        """Remember how to delete something that was created just now."""
        with self._lock:
            self._undo.append((title, undo))

    def until(self, done: Callable[[], Any], what: str, every: float = 2.0) -> Any:
        """Return the first answer of `done` that is true. Raises Stopped at the deadline."""
        while True:
            if self.stop.is_set():
                raise Stopped("the run was stopped")
            if answer := done():
                return answer
            if time.monotonic() > self.deadline:
                raise Stopped(f"no time left while waiting for {what}")
            self.stop.wait(every)

    def clean(self, say: Callable[[str], object]) -> list[str]:
        """Delete everything, newest first; return what could not be deleted, and why."""
        left: list[str] = []
        while self._undo:
            title, undo = self._undo.pop()
            say(f"deleting {title}")
            if problem := _undone(undo):
                left.append(f"{title}: {problem}")
        return left


def _undone(undo: Callable[[], object]) -> str:
    """Undo; AWS refuses to change what it is still changing, so try again. Return the problem."""
    problem = ""
    for _ in range(_UNDO_SECONDS // 5):
        try:
            undo()
        except ClientError as error:
            if code_of(error) in _GONE:
                return ""
            problem = str(error)
            if code_of(error) not in ("ConflictException", "DeleteConflict", "ThrottlingException"):
                return problem
        except (BotoCoreError, Unanswered) as error:
            return str(error)
        else:
            return ""
        time.sleep(5)
    return problem


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return error.response.get("Error", {}).get("Code", "")

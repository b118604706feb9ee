"""Owns faults on demand: denials, throttling, a broken network, a client that is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from tests.standins.models.refusal import Refused


@dataclass
class _Rule:
    pattern: str
    left: int | None  # remaining uses; None: until cleared

    def matches(self, action: str) -> bool:
        if not fnmatchcase(action, self.pattern) or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass
class _Failure(_Rule):
    refusal: Refused = field(default_factory=lambda: Refused("InternalFailure", "", 500))
    client_only: bool = True


class Faults:
    """The faults of a stand-in; each takes effect at once. Patterns are IAM actions: "ec2:*"."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._denied: list[str] = []
        self._failures: list[_Failure] = []
        self._resets: list[tuple[_Rule, bool]] = []
        self._slow: list[tuple[_Rule, float]] = []
        self._resources: list[tuple[_Rule, str, str]] = []
        self._runtimes: list[tuple[_Rule, str]] = []
        self._models: set[str] = set()
        self._lifecycles: dict[str, dict[str, Any]] = {}
        self._empty_pages = 0
        self._held: set[str] = set()
        self._kill: tuple[int, Callable[[], object], bool, str] | None = None
        self._calls = 0
        self.down = False  # True: every connection is reset
        self.expired = False  # True: every session token has expired
        self.skew = 0.0  # seconds that AWS's clock is ahead of this machine's

    # ---- set by tests

    def deny(self, *patterns: str) -> None:
        """Deny these IAM actions to the caller, and to services that act for it."""
        self._denied += patterns

    def allow(self, *patterns: str) -> None:
        """Undo `deny` of the same patterns."""
        self._denied = [pattern for pattern in self._denied if pattern not in patterns]

    def deny_model(self, model: str) -> None:
        """Deny the account access to this Bedrock model."""
        self._models.add(model)

    def end_model(self, model: str, ends: datetime | None = None) -> None:
        """Let Bedrock call this model Legacy, and say when it ends."""
        self._lifecycles[model] = {"status": "LEGACY"} | ({"endOfLifeTime": ends} if ends else {})

    def empty_pages(self, count: int) -> None:
        """Return the next pages of FilterLogEvents without events, with a nextToken."""
        self._empty_pages = count

    def throttle(self, pattern: str = "*", times: int | None = None) -> None:
        """Throttle the next calls, with the error of each service's protocol."""
        self.fail(pattern, Refused("Throttling", "Rate exceeded", 400), times)

    def fail(self, pattern: str, refusal: Refused, times: int | None = 1) -> None:
        """Answer the next calls with this error."""
        self._failures.append(_Failure(pattern, times, refusal))

    def reset(self, pattern: str = "*", times: int | None = 1, after: bool = False) -> None:
        """Reset the connection before the call is carried out, or `after` it."""
        self._resets.append((_Rule(pattern, times), after))

    def slow(self, pattern: str, seconds: float, times: int | None = None) -> None:
        """Delay these calls by real seconds."""
        self._slow.append((_Rule(pattern, times), seconds))

    def fail_resource(
        self, pattern: str, reason: str, times: int | None = 1, during: str = "CREATE"
    ) -> None:
        """Make CloudFormation fail to CREATE, UPDATE or DELETE this type or logical ID."""
        self._resources.append((_Rule(pattern, times), reason, during))

    def fail_runtime(self, reason: str, times: int | None = 1, during: str = "CREATE") -> None:
        """Let the next runtimes end in CREATE_FAILED or UPDATE_FAILED with this failureReason."""
        self._runtimes.append((_Rule(during, times), reason))

    @contextmanager
    def hold(self, pattern: str) -> Iterator[None]:
        """Keep resources of this type or logical ID in progress while the block runs."""
        self._held.add(pattern)
        try:
            yield
        finally:
            self._held.discard(pattern)

    def after_calls(
        self, count: int, then: Callable[[], object], lose: bool = True, of: str = "*"
    ) -> None:
        """Call `then` when the count-th call of a client (of this action) was carried out.

        Its answer is lost, unless `lose` is False. Typically, `then` kills the client.
        """
        with self._lock:
            self._kill = (count, then, lose, of)
            self._calls = 0

    def clear(self) -> None:
        """Remove all faults."""
        self.__init__()

    # ---- read by the stand-in

    def denies(self, action: str) -> bool:
        return any(fnmatchcase(action, pattern) for pattern in self._denied)

    def page_is_empty(self) -> bool:
        with self._lock:
            empty = self._empty_pages > 0
            self._empty_pages -= empty
            return empty

    def denies_model(self, model: str) -> bool:
        return model in self._models

    def lifecycle_of(self, model: str) -> dict[str, Any]:
        return self._lifecycles.get(model, {"status": "ACTIVE"})

    def failure(self, action: str) -> Refused | None:
        with self._lock:
            return next((rule.refusal for rule in self._failures if rule.matches(action)), None)

    def resets(self, action: str, after: bool) -> bool:
        with self._lock:
            return any(rule.matches(action) for rule, late in self._resets if late == after)

    def delay(self, action: str) -> float:
        with self._lock:
            return sum(seconds for rule, seconds in self._slow if rule.matches(action))

    def resource_failure(self, kind: str, logical: str, during: str) -> str | None:
        with self._lock:
            for rule, reason, when in self._resources:
                if when == during and (rule.matches(logical) or rule.matches(kind)):
                    return reason
        return None

    def runtime_failure(self, during: str) -> str | None:
        with self._lock:
            return next((why for rule, why in self._runtimes if rule.matches(during)), None)

    def holds(self, kind: str, logical: str) -> bool:
        return any(fnmatchcase(kind, p) or fnmatchcase(logical, p) for p in self._held)

    def count_call(self, action: str) -> bool:
        """Count a client's call; return True when `then` was called and the answer is lost."""
        with self._lock:
            if self._kill is None or not fnmatchcase(action, self._kill[3]):
                return False
            self._calls += 1
            count, then, lose, _ = self._kill
            if self._calls < count:
                return False
            self._kill = None
        then()
        return lose

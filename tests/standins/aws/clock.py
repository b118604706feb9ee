"""Owns the stand-in's clock, which can be scaled and advanced, and the durations of AWS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

_POLL_SECONDS = 0.02  # real seconds; a change by another thread does not wake the waiting one


class Stopped(Exception):
    """The stand-in is closing, so waiting on its clock ends."""


class Clock:
    """Seconds since the start; a test moves the clock forward with `advance`."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._started = time.monotonic()
        self._start = datetime.now(UTC)
        self._added = 0.0
        self._changed = threading.Condition()
        self._stopped = False

    def seconds(self) -> float:
        return (time.monotonic() - self._started) * self._scale + self._added

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds())

    def advance(self, seconds: float) -> None:
        with self._changed:
            self._added += seconds
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises Stopped when the stand-in closes."""
        end = self.seconds() + seconds
        self.until(lambda: self.seconds() >= end, end)

    def until(self, true: Callable[[], bool], at: float | None = None) -> None:
        """Wait until `true()`, which is polled, or until the second `at`.

        Raises Stopped when the stand-in closes.
        """
        while not true():
            with self._changed:
                if self._stopped:
                    raise Stopped
                left = _POLL_SECONDS
                if at is not None:
                    left = max(0.0, min((at - self.seconds()) / self._scale, 0.5))
                self._changed.wait(left)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


@dataclass(frozen=True)
class Durations:
    """Durations of operations in AWS, in seconds.

    The defaults are for benchmarks. NAT gateway, role and runtime are this project's figures; the
    lingering interfaces are AWS's (AgentCore Developer Guide, agentcore-vpc: up to 8 h); with the
    snapshot, an update on V2 took 3.5 minutes (awslabs/agentcore-samples issue 2079); the others
    are estimates, not measurements.
    """

    nat_gateway: float = 100.0
    nat_gateway_deletion: float = 50.0
    role_propagation: float = 10.0  # until AgentCore can assume a new role
    runtime: float = 15.0
    snapshot: float = 200.0  # that platform V2 takes of each version, after its start
    runtime_deletion: float = 10.0
    endpoint: float = 5.0
    channel: float = 2.0
    function: float = 5.0  # to be created or updated, as Lambda's state shows
    task: float = 30.0  # of ECS, until its command runs
    checks: float = 1.0  # factor on the interval between health checks of unhealthy targets
    balancer: float = 120.0
    distribution: float = 240.0
    resource: float = 2.0  # of CloudFormation for any resource, in addition to its own time
    change_set: float = 2.0
    interfaces_linger: float = 8 * 3600.0  # after the last runtime on their subnets is deleted
    interfaces_retry: float = 0.0  # for which CloudFormation retries to delete what is in use


REAL = Durations()
NONE = Durations(**{field.name: 0.0 for field in fields(Durations)})

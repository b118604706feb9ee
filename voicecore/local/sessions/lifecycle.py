"""Owns the rules by which AgentCore ends a session: timeouts and missing answers to /ping.

Pure: every time is a value in seconds of the runtime's clock.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicecore.contract.ping import PingAnswer
from voicecore.local.limits import (
    IDLE_TIMEOUT,
    LIFECYCLE_MIN,
    MAX_LIFETIME,
    MISSED_PINGS_MAX,
)


class EndReason(StrEnum):
    """The reason why a session ended."""

    IDLE = "idle timeout"
    MAX_LIFETIME = "maximum lifetime"
    UNHEALTHY = "no answer to /ping"
    EXITED = "the agent process ended"
    STOPPED = "stopped"
    SHUTDOWN = "the runtime stopped"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The runtime's `lifecycleConfiguration`, in seconds."""

    idle_timeout: float = IDLE_TIMEOUT
    max_lifetime: float = MAX_LIFETIME

    def __post_init__(self) -> None:
        if not LIFECYCLE_MIN <= self.idle_timeout <= self.max_lifetime <= MAX_LIFETIME:
            raise ValueError(
                f"AgentCore takes {LIFECYCLE_MIN:.0f} ≤ idle timeout ≤ maximum lifetime "
                f"≤ {MAX_LIFETIME:.0f} seconds, not {self.idle_timeout} and {self.max_lifetime}"
            )


@dataclass(frozen=True, slots=True)
class SessionActivity:
    """The times and counts of one session from which the rules decide."""

    started: float
    last_traffic: float  # the last request, frame or control frame
    open_requests: int  # calls to /invocations without a complete answer
    ping: PingAnswer | None  # the last good answer
    status_changed: float | None  # its stamp on the runtime's clock
    missed_pings: int  # since the last good answer


def stamp_on_clock(stamp: int | None, wall: float, now: float, scale: float) -> float | None:
    """Return when the agent's status changed, on a clock that runs `scale` times faster.

    A stamp has whole seconds and means "within the second that began then". This takes the end of
    that second: at a high scale, a stamp of the current moment must not look hours old.
    """
    return None if stamp is None else now - max(0.0, wall - (stamp + 1)) * scale


def is_busy(activity: SessionActivity) -> bool:
    """Return whether the idle timer is stopped.

    HealthyBusy counts only with an integer stamp: without one, AWS ended busy sessions
    (fastagent-sh/fastagent#314, aws/bedrock-agentcore-sdk-python#471).
    """
    ping = activity.ping
    busy = ping is not None and ping.busy and activity.status_changed is not None
    return busy or activity.open_requests > 0


def idle_since(activity: SessionActivity) -> float:
    """Return when the idle timer started: at the last traffic or the last change of status.

    An agent that stamps each ping with the current time therefore never becomes idle.
    """
    return max(activity.last_traffic, activity.status_changed or 0.0)


def end_reason(activity: SessionActivity, lifecycle: Lifecycle, now: float) -> EndReason | None:
    """Return why the session must end now, or None if it continues."""
    if now - activity.started >= lifecycle.max_lifetime:
        return EndReason.MAX_LIFETIME
    if activity.missed_pings >= MISSED_PINGS_MAX:
        return EndReason.UNHEALTHY
    if not is_busy(activity) and now - idle_since(activity) >= lifecycle.idle_timeout:
        return EndReason.IDLE
    return None


def next_deadline(activity: SessionActivity, lifecycle: Lifecycle, now: float) -> float:
    """Return when to call `end_reason` again, even if no ping is due.

    A busy session may become idle at any moment from now on.
    """
    idle_from = now if is_busy(activity) else idle_since(activity)
    return min(activity.started + lifecycle.max_lifetime, idle_from + lifecycle.idle_timeout)

"""Owns the rules by which AgentCore ends a session: timeouts and answers to /ping.

Pure: every time is a value in seconds of the runtime's clock.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from voicecore.console import json_text
from voicecore.local.limits import (
    IDLE_TIMEOUT,
    LIFECYCLE_MIN,
    MAX_LIFETIME,
    MISSED_PINGS_MAX,
)

_BODY_SHOWN = 60  # bytes of an undocumented body in its warning


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
class PingAnswer:
    """One answer to /ping. `stamp` is `time_of_last_update` if AWS can read it, else None."""

    busy: bool
    stamp: int | None
    stamp_is_text: bool = False
    other: str | None = None
    """The start of a body that AWS does not document."""


def read_ping(status: int, body: bytes) -> PingAnswer | None:
    """Parse an answer to /ping; return None unless its status is 200.

    Another body than Healthy or HealthyBusy counts as Healthy: half of the agents in the wild say
    something else, AWS's own sample for Pipecat too, and AgentCore runs them.
    """
    if status != 200:
        return None
    try:
        document: Any = json_text.parse(body)
    except ValueError:
        document = None
    fields = cast("dict[str, Any]", document if isinstance(document, dict) else {})
    if fields.get("status") not in ("Healthy", "HealthyBusy"):
        other = body[:_BODY_SHOWN].decode(errors="replace").strip()
        return PingAnswer(busy=False, stamp=None, other=other)
    stamp = fields.get("time_of_last_update")
    return PingAnswer(
        busy=fields["status"] == "HealthyBusy",
        # bool is an int to Python, not to AWS
        stamp=stamp if type(stamp) is int else None,
        stamp_is_text=isinstance(stamp, str),
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


def ping_advice(pings: Sequence[PingAnswer]) -> str | None:
    """Return what to fix in the agent's answers to /ping (oldest first), or None."""
    if not pings:
        return None
    last = pings[-1]
    if last.other is not None:
        return (
            f"/ping answers {last.other or 'an empty body'}, which AWS does not document: it is "
            "taken for Healthy, so a session ends at the idle timeout also while it works. Answer "
            '{"status": "Healthy"} or {"status": "HealthyBusy"} with time_of_last_update.'
        )
    if last.stamp_is_text:
        return (
            "/ping sends time_of_last_update as text, which AgentCore does not read: the session "
            "ends at the idle timeout although it is busy. Send whole Unix seconds (an int)."
        )
    if last.busy and last.stamp is None:
        return (
            "/ping says HealthyBusy without time_of_last_update: AgentCore ends the session at the "
            "idle timeout. Send the Unix time of the last change of status (an int)."
        )
    recent = pings[-4:]
    stamps = [ping.stamp for ping in recent if ping.stamp is not None]
    same_status = len({ping.busy for ping in recent}) == 1
    if len(stamps) == 4 and same_status and stamps == sorted(set(stamps)):
        return (
            "/ping sends a new time_of_last_update each time: the session never becomes idle, "
            "runs to its maximum lifetime and counts against maxVms. Change it with the status."
        )
    return None

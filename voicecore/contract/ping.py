"""Owns what AgentCore reads from an agent's answers to /ping, and what to fix in them.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from voicecore.console import json_text

_BODY_SHOWN = 60  # bytes of an undocumented body in its warning


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

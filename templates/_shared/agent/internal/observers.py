"""Owns what a conversation reports while it runs: transcripts, latency, and tool calls.

Each report is a line of the log (logs.py). The latency of a turn and its tool calls also go to the
client, as RTVI server messages.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipecat.frames.frames import InterruptionFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.observers.function_call_observer import (
    FunctionCallEvent,
    FunctionCallEventKind,
    FunctionCallObserver,
)
from pipecat.observers.user_bot_latency_observer import (
    LatencyBreakdown,
    MeasuredFrom,
    UserBotLatencyObserver,
)

from . import logs

if TYPE_CHECKING:
    from .traces.turns import Recorder

# Pipecat joins sentences with a blank, which full-width punctuation (Chinese, Japanese) includes.
STRAY = re.compile(r"(?<=[\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]) ")

SendMessage = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class TurnLog:
    """Logs both sides of each turn, and counts the turns: 0 until the user has spoken."""

    count: int = 0
    trace: Recorder | None = None

    def user_said(self, text: str) -> None:
        """Start a turn with the user's words."""
        self.count += 1
        text = STRAY.sub("", text)
        logs.write("user_said", turn=self.count, **logs.spoken(text=text))
        if self.trace:
            self.trace.user_said(self.count, text)

    def agent_said(self, text: str, interrupted: bool) -> None:
        """Log the part of the answer that was spoken before it ended or was interrupted."""
        text = STRAY.sub("", text)
        spoken = logs.spoken(text=text)
        logs.write("agent_said", turn=self.count, **spoken, interrupted=interrupted)
        if self.trace:
            self.trace.agent_said(self.count, text)


@dataclass
class RunningTools:
    """The tool calls that have not ended."""

    ids: set[str] = field(default_factory=set)
    _ended: float = -math.inf

    def note(self, event: FunctionCallEvent) -> None:
        """Note the begin or the end of a call."""
        if event.kind is FunctionCallEventKind.IN_PROGRESS:
            self.ids.add(event.tool_call_id)
        elif event.kind is not FunctionCallEventKind.STARTED:
            self.ids.discard(event.tool_call_id)
            self._ended = time.monotonic()

    def ran_within(self, seconds: float) -> bool:
        """Return True if a call has run within this time: its caller waits, and is not silent."""
        return bool(self.ids) or time.monotonic() - self._ended < seconds


class LatencyObserver(UserBotLatencyObserver):
    """Pipecat's observer, which also reports turns whose transcript is late.

    A transcript that takes longer than a turn may wait for it (5 s) starts another turn, which
    interrupts the agent before it has spoken. The user still waits since the same silence.
    """

    async def on_push_frame(self, data: FramePushed) -> None:
        """Keep measuring through such an interruption."""
        user_waits = self._user_stopped_time is not None
        if not (user_waits and isinstance(data.frame, InterruptionFrame)):
            await super().on_push_frame(data)


def observers(
    turns: TurnLog,
    running: RunningTools,
    send: SendMessage,
    cancelled: Callable[[str], Awaitable[None]],
) -> list[BaseObserver]:
    """Return Pipecat's observers of latency and tools, reporting to the log and through `send`.

    Each call of a tool that an interruption has cancelled is passed to `cancelled`.
    """
    latency = LatencyObserver()
    tools = FunctionCallObserver(include_arguments=logs.TRANSCRIPTS)
    arguments: dict[str, Any] = {}

    @latency.event_handler("on_latency_breakdown")
    async def on_latency(_: BaseObserver, breakdown: LatencyBreakdown) -> None:
        if breakdown.measured_from is not MeasuredFrom.USER_SILENCE:
            return  # the greeting is not an answer
        report = {
            "turn": turns.count,
            "total_ms": round(breakdown.total_secs * 1000, 1),
            "stages": [
                {"key": part.key, "label": part.label, "ms": round(part.duration_secs * 1000, 1)}
                for part in breakdown.contributions
            ],
        }
        logs.write("latency", **report)
        await send({"type": "latency", **report})

    @tools.event_handler("on_function_call_event")
    async def on_tool(_: BaseObserver, event: FunctionCallEvent) -> None:
        running.note(event)
        if event.kind is FunctionCallEventKind.IN_PROGRESS:
            arguments[event.tool_call_id] = event.arguments
            return
        if event.kind is FunctionCallEventKind.STARTED:
            return
        ms = round((event.timestamp - (event.in_progress_at or event.timestamp)) * 1000, 1)
        logs.write(
            "tool_call",
            level="ERROR" if event.kind is FunctionCallEventKind.FAILED else "INFO",
            turn=turns.count,
            name=event.function_name,
            **logs.spoken(arguments=arguments.pop(event.tool_call_id, None)),
            ms=ms,
            outcome=event.kind.value,
        )
        await send({"type": "tool_call", "name": event.function_name, "ms": ms})
        if event.kind is FunctionCallEventKind.CANCELLED:
            await cancelled(event.tool_call_id)

    return [latency, tools]

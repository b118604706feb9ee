"""Owns writing turns as spans, by OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, Status, StatusCode
from pipecat.observers.base_observer import BaseObserver

from .. import logs, session_start
from . import FOLDER
from .turns import Part, Recorder, Turn

if TYPE_CHECKING:
    from ..observers import TurnLog

# A killed agent loses this much.
DELAY_MS = 500
# Limit for an exporter that hangs: a caller who reconnects would wait.
FLUSH_SECONDS = 1.0


class ConnectionTrace:
    """The spans of one connection: `conversation`, below it `turn`, below that its parts."""

    def __init__(
        self, provider: TracerProvider, turns: TurnLog, transport: str, one_model: bool
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("internal.traces")
        self._session = {"session.id": logs.session()}
        self._span = self._tracer.start_span(
            "conversation",
            attributes={
                **self._session,
                "conversation.id": logs.session(),
                "conversation.type": "voice",
                "transport": transport,
            },
        )
        self._context = trace.set_span_in_context(self._span)
        # Spans that the bot's own code makes are below this one, and have the session.
        with_session = baggage.set_baggage("session.id", logs.session(), self._context)
        self._token = context.attach(with_session)
        self._recorder = turns.trace = Recorder(self, turns.count, one_model)
        self._turns = turns
        self.observers: Sequence[BaseObserver] = [self._recorder]

    async def end(self, **outcome: Any) -> None:
        """Write the last turn, end the conversation's span, and send all that waits.

        The process may be stopped now, without a word to those who batch.
        """
        self._turns.trace = None
        self._recorder.finish()
        self._span.set_attributes(outcome)
        self._span.end()
        context.detach(self._token)
        await within(FLUSH_SECONDS, self._provider.force_flush)

    def write_turn(self, turn: Turn) -> None:
        """Write a turn with its parts, except those that are open."""
        span = self._tracer.start_span(
            "turn",
            context=self._context,
            start_time=turn.start,
            attributes={
                **self._session,
                "turn.number": turn.number,
                "turn.was_interrupted": bool(turn.interrupted),
                **turn.attributes,
            },
        )
        turn.context = trace.set_span_in_context(span)
        if turn.interrupted:
            span.add_event("interruption", timestamp=turn.interrupted)
        for part in turn.parts:
            if not part.is_open:
                self.write_part(turn, part)
        _end(span, turn.end, turn.error)

    def write_part(self, turn: Turn, part: Part) -> None:
        """Write one part of a turn."""
        span = self._tracer.start_span(
            part.name,
            context=turn.context,
            start_time=part.start,
            attributes={**self._session, **part.attributes},
        )
        _end(span, part.end, part.error)


def _end(span: Span, at: int, error: str) -> None:
    if error:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(at)


async def within(seconds: float, work: Callable[[], object]) -> None:
    """Do `work` in a thread of its own, which nothing waits for longer than this."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        work()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)


@cache
def provider() -> TracerProvider:
    """Return what writes spans, in the session: a snapshot must have neither its thread nor file.

    Raises OSError if a file in FOLDER cannot be made.
    """
    if FOLDER:
        trace.set_tracer_provider(to_file(Path(FOLDER)))
    return cast(TracerProvider, trace.get_tracer_provider())


def to_file(folder: Path) -> TracerProvider:
    """Return a provider that writes to a new file, which only its owner can read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.jsonl"
    file = open(folder / name, "w", encoding="utf-8", opener=_only_for_owner)  # noqa: SIM115
    session_start.draw_trace_ids_from_system()
    # Whether the caller's own trace is sampled does not matter here.
    resource = Resource({"service.name": "agent"})
    written = TracerProvider(sampler=ALWAYS_ON, resource=resource)
    exporter = ConsoleSpanExporter(out=file, formatter=_line)
    # A thread of its own writes, and what exceeds its queue is dropped: no frame waits for a disk.
    written.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=DELAY_MS))
    return written


def _only_for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"

"""Owns the traces of calls: a span for each turn and its parts, in OpenTelemetry's form.

`voicecore traces` shows them. `voicecore dev` sets TRACES_FOLDER, and the agent writes each call to
a file there. In AWS, with `traces = true` under [observability] in voicecore.toml, AWS's package
sends them to CloudWatch. Else nothing here is imported or done.

Pipecat can trace, too. Its spans are not used: only some services have them, and Nova Sonic has
none; each span of a model repeats the whole history, and quotes it even if LOG_TRANSCRIPTS=false;
its turns are counted in another way than the log's. The names are Pipecat's and OpenTelemetry's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .. import logs

if TYPE_CHECKING:
    from pipecat.observers.base_observer import BaseObserver
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ..observers import TurnLog

FOLDER = os.environ.get("TRACES_FOLDER", "")
ON = bool(FOLDER) or "opentelemetry.instrumentation.auto_instrumentation" in sys.modules


class Trace(Protocol):
    """The trace of one connection."""

    observers: Sequence[BaseObserver]

    async def end(self, **outcome: Any) -> None:
        """End the connection's span, with its outcome."""


class NoTrace:
    """Stands in for a trace that is off."""

    observers: Sequence[BaseObserver] = ()

    async def end(self, **outcome: Any) -> None:
        """Do nothing."""


def load() -> None:
    """Import OpenTelemetry before the first call, which would wait for it."""
    if ON:
        from . import spans  # noqa: F401


def start(turns: TurnLog, transport: str, one_model: bool) -> Trace:
    """Begin the trace of a connection. Without a place to write it to, the call goes on untraced.

    `one_model` is True for a pipeline whose model hears and speaks.
    """
    if not ON:
        return NoTrace()
    from . import spans

    try:
        return spans.ConnectionTrace(spans.provider(), turns, transport, one_model)
    except OSError as error:
        logs.write("traces_not_written", level="WARNING", reason=str(error))
        return NoTrace()


class CallersTrace:
    """Continues the trace of the caller, whose headers name it, in what a request does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from opentelemetry import context, propagate

        pairs = scope.get("headers", ())
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        token = context.attach(propagate.extract(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)

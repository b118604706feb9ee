"""Owns the start of the session: what must not be older than the session.

AgentCore's platform V2 loads an agent once per version and takes a snapshot of it. Each session
continues a copy of that snapshot, often hours later. Models and modules that were loaded by then
are there at once. But what was random is the same in every session, keys and credentials may have
expired, connections are closed, deadlines are over, and audio starts in an old state.

So create those in the functions of bot.py, which run in the session. To share one between them:

    @per_session
    def orders() -> Any:
        return boto3.resource("dynamodb").Table("orders")

`orders()` returns the same object for the whole session, and it is created in the session.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import sys
from collections.abc import Callable
from typing import TypeVar

from . import keys

# Set by `voicecore deploy` and `voicecore dev`. On V1 a process serves the session it starts with.
ON_V2 = os.environ.get("AGENTCORE_PLATFORM") == "v2"

# Modules that draw ids of traces.
TRACE_IDS = (
    "opentelemetry.sdk.trace.id_generator",
    "opentelemetry.sdk.extension.aws.trace.aws_xray_id_generator",
)

T = TypeVar("T")

_state = {"begun": not ON_V2}


def has_begun() -> bool:
    """Return False while the agent loads for a snapshot, and until the first request after it."""
    return _state["begun"]


async def begin() -> None:
    """Begin the session: renew random numbers, read the keys. Raises KeysUnreadable."""
    random.seed()
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    await asyncio.to_thread(keys.read)
    _state["begun"] = True


def per_session(create: Callable[[], T]) -> Callable[[], T]:
    """Return a function that returns the same object for the whole session.

    Its first call creates the object. Calls before the session, while the agent loads, create one
    each, which nothing keeps.
    """
    kept: list[T] = []

    @functools.wraps(create)
    def get() -> T:
        if kept:
            return kept[0]
        created = create()
        if has_begun():
            kept.append(created)
        return created

    return get


def draw_trace_ids_from_system() -> None:
    """Make OpenTelemetry's ids differ between sessions, if it is installed.

    It draws them from `random`, whose state is in the snapshot, and gives a request its ids before
    the session begins.
    """
    for name in TRACE_IDS:
        if module := sys.modules.get(name):
            vars(module)["random"] = random.SystemRandom()

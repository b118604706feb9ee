"""Owns what a deployed agent reports besides its log ([observability])."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from voicecore.project.invalid_setting import InvalidSetting, unknown_keys

OBSERVABILITY = "observability"


@dataclass(frozen=True)
class Observability:
    """The reports of a deployed agent besides its log."""

    traces: bool = False
    """True when it sends the spans of its calls to CloudWatch, through AWS's package."""


def invalid_observability(table: object) -> Iterator[InvalidSetting]:
    """Yield what is wrong with [observability]."""
    if not isinstance(table, dict):
        yield InvalidSetting(OBSERVABILITY, "must be a table")
        return
    own = cast("dict[str, Any]", table)
    yield from unknown_keys(f"{OBSERVABILITY}.", own, ("traces",))
    if not isinstance(own.get("traces", False), bool):
        yield InvalidSetting(f"{OBSERVABILITY}.traces", "must be true or false")

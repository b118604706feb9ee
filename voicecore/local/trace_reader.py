"""Owns reading the traces that local agents write: a file for each process, a span in each line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from voicecore.contract.trace_spans import TraceSpan, parse_span


def trace_folder(local: Path) -> Path:
    """Return the folder of traces, given the project's local folder."""
    return local / "traces"


def read(folder: Path, since: datetime | None = None) -> Iterator[TraceSpan]:
    """Yield the spans of the files that were written since then.

    A line is left out if the agent was killed, or the disk was full, while it was written.
    """
    for path in sorted(folder.glob("*.jsonl")):
        if since and path.stat().st_mtime < since.timestamp():
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if span := parse_span(line):
                    yield span

"""Owns what a run reports: one row per doubt, as a table, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """A doubt, what the stand-in does, and what AWS did."""

    doubt: str
    question: str
    standin: str
    observed: str
    """Empty if there is no answer."""
    why_not: str = ""
    """Reason for no answer."""

    @property
    def verdict(self) -> str:
        """Comparison of AWS with the stand-in."""
        if not self.observed:
            return "no answer"
        return "as the stand-in" if self.observed == self.standin else "differs"


def table(rows: Iterable[Row]) -> str:
    """Return the rows for a terminal."""
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.verdict:<16} {row.doubt}: {row.observed or row.why_not}")
        if row.verdict == "differs":
            lines.append(f"{'':<16} the stand-in: {row.standin}")
    return "\n".join(lines)


def markdown(rows: Iterable[Row], about: str) -> str:
    """Return the rows as a Markdown document; `about` says where and when they were observed."""
    lines = [f"# What AWS did\n\n{about}\n", "| doubt | stand-in | AWS | |", "|---|---|---|---|"]
    for row in rows:
        cells = (row.question, row.standin, row.observed or f"({row.why_not})", row.verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def document(rows: Iterable[Row], about: str) -> str:
    """Return the rows as JSON."""
    found = [asdict(row) | {"verdict": row.verdict} for row in rows]
    return json.dumps({"about": about, "rows": found}, indent=2) + "\n"

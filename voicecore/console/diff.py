"""Owns how the change of a file is shown."""

from __future__ import annotations

import difflib

from voicecore.console.output import Line, Span

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def diff_lines(path: str, before: bytes, after: bytes) -> list[Line]:
    """Return a unified diff with one line of context, styled by kind of line."""
    now, new = (content.decode(errors="replace").splitlines() for content in (before, after))
    diff = difflib.unified_diff(now, new, f"now/{path}", f"new/{path}", lineterm="", n=1)
    return [[Span(line, _STYLES.get(line[:1], "dim"))] for line in diff]

"""Owns the migrations of releases: where files went that earlier releases generated elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

MOVED: dict[str, dict[str, str]] = {}
"""By release, oldest first, the new path of each file that it moved. Your edits follow the file."""


def moved(releases: Mapping[str, Mapping[str, str]] = MOVED) -> dict[str, str]:
    """Return where each file that any release moved is today."""
    today: dict[str, str] = {}
    for moves in releases.values():
        today = {old: moves.get(new, new) for old, new in today.items()} | dict(moves)
    return today

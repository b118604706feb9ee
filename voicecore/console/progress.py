"""Owns the one progress type of images, rollouts and other tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of one task: building or pushing a layer, a step of a Dockerfile, ECS tasks."""

    task: str
    done: int = 0
    """Bytes done."""
    total: int | None = None
    """Bytes in all; None when unknown."""
    finished: bool = False
    note: str = ""
    """Text shown beside the task: "there already", "cached"."""


OnProgress = Callable[[Progress], None]
"""Takes each step of a task; called from any thread."""

"""Owns how far a piece of work is: the one progress type of images, stacks and tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far one task is: a layer being built or pushed, a step of a Dockerfile, ECS tasks."""

    task: str
    done: int = 0
    """Bytes done."""
    total: int | None = None
    """Bytes in all; None when unknown."""
    finished: bool = False
    note: str = ""
    """Text shown beside the task: "already there", "cached"."""


OnProgress = Callable[[Progress], None]
"""Takes each step of a task; called from any thread."""

"""Owns the progress of a deploy on the terminal: a line per finished task, live running tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from voicecore.cloud.deploy.plan import name_of
from voicecore.cloud.resources.cloudformation import OnEvent
from voicecore.cloud.resources.deployed_stack import StackEvent
from voicecore.console.output import Line, Output, Span, megabytes
from voicecore.console.progress import OnProgress, Progress

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass(frozen=True)
class RunningTask:
    """A task that is not finished."""

    title: str
    detail: str = ""
    since: float = field(default_factory=time.monotonic)
    started: datetime | None = None
    """Start by AWS's clock; None for a task on this machine."""

    def line(self, now: float) -> Line:
        """Return the task's line on the screen."""
        spinner = _SPINNER[int(now * 10) % len(_SPINNER)]
        took = f"{now - self.since:.0f} s" if now - self.since >= 1 else ""
        return [Span(f"{spinner} {self.title}"), _dim(self.detail, took)]


class ProgressBoard:
    """Shows resources as stacks report them, and the steps of images; called from any thread.

    `notes` explain resources that take long, by their type.
    """

    def __init__(self, output: Output, notes: Mapping[str, str] | None = None) -> None:
        self._output = output
        self._notes = notes or {}
        self._lock = threading.Lock()
        self._running: dict[str, RunningTask] = {}

    def on_event(self, event: StackEvent) -> None:
        """Show an event of a stack."""
        title = _title(event)
        if not event.finished:
            with self._lock:
                task = RunningTask(title, self._notes.get(event.type, ""), started=event.time)
                self._running.setdefault(title, task)
            return
        with self._lock:
            known = self._running.pop(title, None)
        seconds = (event.time - known.started).total_seconds() if known and known.started else 0.0
        self._finish(title, event.status if event.failed else "", seconds, event.failed)

    def on_progress(self, step: Progress) -> None:
        """Show a step of an image or of a rollout."""
        sizes = [megabytes(size) for size in (step.done, step.total) if size]
        with self._lock:
            known = self._running.pop(step.task, None) or RunningTask(step.task)
            if not step.finished:
                detail = " of ".join(sizes) or step.note
                self._running[step.task] = RunningTask(step.task, detail, known.since)
        if step.finished:
            detail = ", ".join(filter(None, (*sizes[-1:], step.note)))
            self._finish(step.task, detail, time.monotonic() - known.since, failed=False)

    def render(self, width: int, height: int) -> list[Line]:
        """Return the lines of running tasks; on a small screen, of the oldest ones."""
        now = time.monotonic()
        with self._lock:
            return [task.line(now) for task in self._running.values()][: max(height - 1, 1)]

    def _finish(self, title: str, detail: str, seconds: float, failed: bool) -> None:
        mark = Span("✗ ", "red") if failed else Span("✓ " if self._output.live else "• ", "green")
        took = f"{seconds:.1f} s" if seconds >= 0.1 else ""
        self._output.lines([[mark, Span(title), _dim(detail, took)]])


class BufferedProgress:
    """Passes progress on once something shows it; until then keeps the latest step of each task.

    `check_running` is called with each step and may raise, which ends the reporting work.
    """

    def __init__(self, check_running: Callable[[], object]) -> None:
        self._check_running = check_running
        self._lock = threading.Lock()
        self._on_progress: OnProgress | None = None
        self._latest: dict[str, Progress] = {}

    def __call__(self, step: Progress) -> None:
        """Take a step of a task."""
        self._check_running()
        with self._lock:
            self._latest[step.task] = step
            if self._on_progress:
                self._on_progress(step)

    def show(self, on_progress: OnProgress) -> None:
        """Pass on the latest step of each task, and every later step."""
        with self._lock:
            self._on_progress = on_progress
            for step in self._latest.values():
                on_progress(step)


@contextmanager
def show_progress(
    output: Output, again: str, notes: Mapping[str, str] | None = None
) -> Generator[ProgressBoard]:
    """Give a board for operations in AWS, which continue after Ctrl-C.

    `again` is the command that continues the work; `notes` are as in ProgressBoard.
    """
    board = ProgressBoard(output, notes)
    try:
        with output.screen(board.render):
            yield board
    except KeyboardInterrupt:
        output.say(f"Operations already started continue in AWS. To resume, run:  {again}")
        raise


def announce_busy_stacks(output: Output) -> OnEvent:
    """Return a listener that says once per stack that another operation changes it."""
    announced: set[str] = set()

    def on_event(event: StackEvent) -> None:
        if event.stack not in announced:
            announced.add(event.stack)
            output.say(f"• Waiting for another operation on {event.stack} to finish")

    return on_event


def _dim(*details: str) -> Span:
    text = ", ".join(filter(None, details))
    return Span(f"  {text}" if text else "", "dim")


def _title(event: StackEvent) -> str:
    resource = "" if event.is_stack else f"  {name_of(event.type, event.resource)} {event.resource}"
    removal = " (removal)" if event.status.startswith("DELETE") else ""
    return f"{event.stack}{resource}{removal}"

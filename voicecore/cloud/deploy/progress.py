"""What goes on in AWS and beside it: a line for all that is done, a live one for all that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from voicecore.cloud.deploy.cloudformation import Event
from voicecore.cloud.deploy.plan import called
from voicecore.console.output import Line, Output, Span, megabytes
from voicecore.console.progress import OnProgress, Progress

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass(frozen=True)
class Running:
    """Something that is being done."""

    title: str
    detail: str = ""
    since: float = field(default_factory=time.monotonic)
    began: datetime | None = None
    """By AWS's clock."""

    def line(self, now: float) -> Line:
        """It on the screen."""
        spinner = _SPINNER[int(now * 10) % len(_SPINNER)]
        took = f"{now - self.since:.0f} s" if now - self.since >= 1 else ""
        return [Span(f"{spinner} {self.title}"), _dim(self.detail, took)]


class Board:
    """Shows resources as their stacks tell of them, and the steps of the image; from any thread."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    def tell(self, event: Event) -> None:
        """Take an event of a stack."""
        title = _title(event)
        if not event.over:
            with self._lock:
                self._running.setdefault(title, Running(title, began=event.time))
            return
        with self._lock:
            known = self._running.pop(title, None)
        seconds = (event.time - known.began).total_seconds() if known and known.began else 0.0
        self._over(title, event.status if event.failed else "", seconds, event.failed)

    def advance(self, step: Progress) -> None:
        """Take a step of the image."""
        task, sizes = step.task, [megabytes(size) for size in (step.done, step.total) if size]
        with self._lock:
            known = self._running.pop(task, None) or Running(task)
            if not step.finished:
                self._running[task] = Running(task, " of ".join(sizes) or step.note, known.since)
        if step.finished:
            said = ", ".join(filter(None, (*sizes[-1:], step.note)))
            self._over(task, said, time.monotonic() - known.since, False)

    def render(self, width: int, height: int) -> list[Line]:
        """All that runs; the oldest, if there is no room for all."""
        now = time.monotonic()
        with self._lock:
            return [running.line(now) for running in self._running.values()][: max(height - 1, 1)]

    def _over(self, title: str, said: str, seconds: float, failed: bool) -> None:
        mark = Span("✗ ", "red") if failed else Span("✓ " if self._output.live else "• ", "green")
        took = f"{seconds:.1f} s" if seconds >= 0.1 else ""
        self._output.lines([[mark, Span(title), _dim(said, took)]])


class Relay:
    """Passes progress on as soon as there is somebody to show it; until then keeps the latest.

    `go_on` is called with each step and may raise, which ends the work that tells of itself.
    """

    def __init__(self, go_on: Callable[[], object]) -> None:
        self._go_on = go_on
        self._lock = threading.Lock()
        self._advance: OnProgress | None = None
        self._latest: dict[str, Progress] = {}

    def __call__(self, step: Progress) -> None:
        """Take a step of a task."""
        self._go_on()
        with self._lock:
            self._latest[step.task] = step
            if self._advance:
                self._advance(step)

    def show(self, advance: OnProgress) -> None:
        """Show by `advance` what is known so far, and all that comes."""
        with self._lock:
            self._advance = advance
            for step in self._latest.values():
                advance(step)


@contextmanager
def begun(output: Output, again: str) -> Generator[Board]:
    """A board of tasks in AWS, which Ctrl-C does not end; `again` is the command that goes on."""
    board = Board(output)
    try:
        with output.screen(board.render):
            yield board
    except KeyboardInterrupt:
        output.say(f"What was begun in AWS goes on there. To go on:  {again}")
        raise


def waiting(output: Output) -> Callable[[Event], None]:
    """Says once for each stack that somebody else is changing it."""
    told: set[str] = set()

    def tell(event: Event) -> None:
        if event.stack not in told:
            told.add(event.stack)
            output.say(f"• {event.stack} is being changed already; waiting for the end of that")

    return tell


def _dim(*details: str) -> Span:
    said = ", ".join(filter(None, details))
    return Span(f"  {said}" if said else "", "dim")


def _title(event: Event) -> str:
    what = "" if event.of_stack else f"  {called(event.type)} {event.resource}"
    removal = " (removal)" if event.status.startswith("DELETE") else ""
    return f"{event.stack}{what}{removal}"

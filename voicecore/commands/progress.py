"""What goes on, shown as tasks: in stacks, and in work that began before there was a screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from voicecore.cloud.cloudformation import Event
from voicecore.cloud.plan import called
from voicecore.output import Advance, Output


@contextmanager
def begun(output: Output, again: str) -> Generator[Advance]:
    """Tasks in AWS, which Ctrl-C does not end; `again` is the command that goes on with them."""
    try:
        with output.tasks() as advance:
            yield advance
    except KeyboardInterrupt:
        output.say(f"What was begun in AWS goes on there. To go on:  {again}")
        raise


class Relay:
    """Passes progress on as soon as there is somebody to show it; until then keeps the latest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._advance: Advance | None = None
        self._latest: dict[str, tuple[int, int | None, bool, str]] = {}

    def __call__(self, task: str, done: int, total: int | None, over: bool, note: str) -> None:
        """Take a step of a task, as Advance does."""
        with self._lock:
            self._latest[task] = (done, total, over, note)
            if self._advance:
                self._advance(task, done, total, over, note)

    def show(self, advance: Advance) -> None:
        """Show by `advance` what is known so far, and all that comes."""
        with self._lock:
            self._advance = advance
            for task, step in self._latest.items():
                advance(task, *step)


def shown(advance: Advance) -> Callable[[Event], None]:
    """Tells of each resource of a stack as a task of its own."""

    def tell(event: Event) -> None:
        if event.of_stack:
            title = event.stack
        else:
            title = f"{event.stack}  {called(event.type)} {event.resource}"
        if event.status.startswith("DELETE"):
            title += " (removal)"
        advance(title, 0, None, event.over, event.status if event.failed else "")

    return tell

"""Everything voicecore shows: data on stdout, all else on stderr; the only user of rich."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from voicecore.console.errors import VoicecoreError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass(frozen=True)
class Span:
    """A run of text in one style (a rich style name such as "bold" or "dim red")."""

    text: str
    style: str = ""


Line = Sequence[Span]
"""One line of a screen."""

Advance = Callable[[str, int, int | None, bool, str], None]
"""Tells of a task: its name, bytes done, bytes in all (None: unknown), whether over, a note."""

Render = Callable[[int, int], Sequence[Line]]
"""Draws a screen of (width, height) characters from state the caller holds."""


class Output:
    """The two streams of a command, and what may be drawn on them.

    rich is imported only when something styled is drawn, so that `--help` stays fast.
    """

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """The rich console on stderr, made at first use."""
        if self._console is None:
            from rich.console import Console

            # rich believes these before it asks the terminal: where they are exported, a window
            # that was resized since would be drawn for the size it had.
            own = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
            self._console = Console(
                file=self._stderr, highlight=False, soft_wrap=True, _environ=own
            )
        return self._console

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that can be redrawn."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def width(self) -> int:
        """Columns of the terminal on stderr; 100 where there is none."""
        return self.console.width if self.console.is_terminal else 100

    def data(self, text: str) -> None:
        """Print what the command was asked for."""
        print(text, file=self._stdout, flush=True)

    def discard_data(self) -> None:
        """Discard all further data: its reader has gone, and flushing at exit would fail."""
        with suppress(OSError):  # a stream without a file descriptor needs nothing
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    def json(self, document: object) -> None:
        """Print one JSON document, for programs."""
        self.data(json.dumps(document, indent=2, ensure_ascii=False))

    def event(self, event: object) -> None:
        """Print one JSON line of a stream of events, for programs."""
        self.data(json.dumps(event, ensure_ascii=False))

    def record(self, line: Line) -> None:
        """Print a line of what the command was asked for, styled where a person reads it."""
        if not self._stdout.isatty():
            self.data("".join(span.text for span in line))
            return
        from rich.console import Console
        from rich.text import Text

        # Made anew each time, so that it knows of a window that was resized.
        console = Console(file=self._stdout, highlight=False, soft_wrap=True)
        console.print(Text.assemble(*((span.text, span.style) for span in line)))

    def say(self, text: str = "", style: str = "") -> None:
        """Tell the person something."""
        self.console.print(text, style=style or None, markup=False)

    def note(self, text: str) -> None:
        """Tell the person something of less weight."""
        self.say(text, style="dim")

    def warn(self, text: str) -> None:
        """Tell the person something that deserves attention but stops nothing."""
        self.say(f"! {text}", style="yellow")

    def lines(self, lines: Iterable[Line]) -> None:
        """Print styled lines."""
        for line in lines:
            self.console.print(_text_of(line))

    def error(self, error: VoicecoreError) -> None:
        """Print what happened and what to type next."""
        self.say(f"✗ {error.message}", style="bold red")
        if error.hint:
            self.say("\n".join(f"  {line}" for line in error.hint.splitlines()))

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """Show a piece of work: a spinner that becomes a tick or a cross.

        Without a terminal it is one plain line when the work starts, and one more if it fails.
        """
        started = time.monotonic()
        if not self.live:
            self.say(f"• {title}")
            try:
                yield
            except BaseException:
                self.say(f"✗ {title}")
                raise
            return
        try:
            with self.console.status(title):
                yield
        except BaseException:
            self.say(f"✗ {title}", style="red")
            raise
        self.lines([[Span("✓ ", "green"), Span(title), _elapsed(time.monotonic() - started)]])

    @contextmanager
    def tasks(self) -> Generator[Advance]:
        """Show tasks that run beside each other, each with its bytes and its time.

        Without a terminal each is one plain line, when it is over. May be told from any thread.
        """
        if not self.live:
            yield self._plain_tasks()
            return
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[done]}", style="dim", markup=False),
            console=self.console,
        )
        known: dict[str, Any] = {}
        started: dict[str, float] = {}

        def advance(task: str, done: int, total: int | None, over: bool, note: str) -> None:
            if task not in known:
                started[task] = time.monotonic()
                known[task] = bars.add_task("", total=None, title=task, done="")
            seconds = time.monotonic() - started[task]
            whole = total or done or 1
            bars.update(
                known[task],
                completed=whole if over else done,
                total=whole if over else total,
                done=_state(done, total, over, note, seconds),
            )

        with bars:
            yield advance

    def _plain_tasks(self) -> Advance:
        started: dict[str, float] = {}

        def advance(task: str, done: int, total: int | None, over: bool, note: str) -> None:
            begun = started.setdefault(task, time.monotonic())
            if over:
                state = _state(done, total, over, note, time.monotonic() - begun)
                self.say(f"• {task}  {state}".rstrip())

        return advance

    @contextmanager
    def screen(self, render: Render, fps: float = 8) -> Generator[None]:
        """Keep `render` on the terminal while the block runs; draw nothing without one."""
        if not self.live:
            yield
            return
        from rich.live import Live
        from rich.text import Text

        def picture() -> Text:
            size = self.console.size
            return Text("\n").join(_text_of(line) for line in render(size.width, size.height))

        with Live(
            console=self.console,
            get_renderable=picture,
            refresh_per_second=fps,
            transient=False,
            vertical_overflow="crop",
        ):
            yield


def _text_of(line: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((span.text, span.style) for span in line), overflow="crop", no_wrap=True)


def megabytes(size: float) -> str:
    """`size` bytes as people read them: kB below a megabyte, as registries count (powers of 10)."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _state(done: int, total: int | None, over: bool, note: str, seconds: float) -> str:
    size = megabytes(done) if done else ""
    if total and not over:
        size = f"{megabytes(done)} of {megabytes(total)}"
    took = f"{seconds:.1f} s" if seconds >= 0.1 else ""
    return ", ".join(filter(None, (size, note, took)))


def _elapsed(seconds: float) -> Span:
    # Below a second nobody waited, so nobody needs to be told.
    return Span(f"  {seconds:.1f} s" if seconds >= 1 else "", "dim")

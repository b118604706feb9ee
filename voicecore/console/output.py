"""Owns what is shown: data on stdout, everything else on stderr. The only user of rich."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from voicecore.console import json_text
from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import OnProgress, Progress

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

Render = Callable[[int, int], Sequence[Line]]
"""Draws a screen of (width, height) characters from the state of the caller."""


_UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)"
)
"""C0 and C1 controls (ECMA-48) but tab and newline, line and paragraph separators, and what
reorders a line (Bidi_Control of UAX 9)."""
_WORD = re.compile(
    r"(?:^\s*|(?<=  ))(?:aws|cd|cp|docker|export|kill|pip|pipx|sudo|uv|uvx|voicecore) .*|\S+"
)
"""Text that is never broken: a word, such as a URL, and a command up to the end of its line."""
_SIGN = re.compile(r"[✗✓•!]? *")
"""The beginning of a line, below which its other rows are empty."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return text in which nothing acts on a terminal: control characters are written as \\uXXXX.

    Callers, agents and servers decide what a transcript or an error says. In JSON the result means
    the same as before; half of a surrogate pair, which no UTF-8 has, becomes U+FFFD.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", _SURROGATES.sub("\ufffd", text))


class Output:
    """The two streams of a command. Everything that it shows is clean.

    rich is imported only when something styled is drawn, so that commands start fast.
    """

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Rich console on stderr, created at first use."""
        if self._console is None:
            from rich.console import Console

            # rich prefers these to the terminal's own size: if they are exported, a window that was
            # resized since would be drawn at its old size.
            own = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
            self._console = Console(
                file=self._stderr, highlight=False, emoji=False, soft_wrap=True, _environ=own
            )
        return self._console

    @property
    def live(self) -> bool:
        """True when stderr is a terminal that can be redrawn."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def width(self) -> int:
        """Columns of the terminal on stderr; 100 without a terminal."""
        return self.console.width if self.console.is_terminal else 100

    def data(self, text: str) -> None:
        """Print the result of the command."""
        print(clean(text), file=self._stdout, flush=True)

    def discard_data(self) -> None:
        """Discard all further data: its reader has gone, and flushing at exit would fail."""
        with suppress(OSError):  # a stream without a file descriptor needs nothing
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    def json(self, document: object) -> None:
        """Print one JSON document."""
        self.data(json_text.dump(document, indent=2))

    def event(self, event: object) -> None:
        """Print one event of a stream as a line of JSON."""
        self.data(json_text.dump(event))

    def record(self, line: Line) -> None:
        """Print one line of the result, styled if stdout is a terminal."""
        if not self._stdout.isatty():
            self.data("".join(span.text for span in line))
            return
        from rich.console import Console

        # A new console for each line, so that a resized window is noticed.
        console = Console(file=self._stdout, highlight=False, soft_wrap=True)
        _print(console, line)

    def say(self, text: str = "", style: str = "") -> None:
        """Show a message."""
        self.lines([Span(row, style)] for row in text.split("\n"))

    def note(self, text: str) -> None:
        """Show a message of less importance."""
        self.say(text, style="dim")

    def warn(self, text: str) -> None:
        """Show a warning: it needs attention but stops nothing."""
        self.say(f"! {text}", style="yellow")

    def lines(self, lines: Iterable[Line]) -> None:
        """Show styled lines."""
        for line in lines:
            _print(self.console, line)

    def error(self, error: VoicecoreError) -> None:
        """Show what failed and what to type next."""
        self.say(f"✗ {error.message}", style="bold red")
        if error.hint:
            self.say("\n".join(f"  {line}" for line in error.hint.splitlines()))

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """Show a step: a spinner that becomes a tick or a cross.

        Without a terminal, print one plain line when the step starts, and another if it fails.
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
            with self.console.status(_text_of([Span(title)], cropped=False)):
                yield
        except BaseException:
            self.say(f"✗ {title}", style="red")
            raise
        self.lines([[Span("✓ ", "green"), Span(title), _elapsed(time.monotonic() - started)]])

    @contextmanager
    def tasks(self) -> Generator[OnProgress]:
        """Show concurrent tasks, each with its bytes and its time.

        Without a terminal, print one plain line per task when it is over. Any thread may report.
        """
        if not self.live:
            yield self._plain_tasks()
            return
        from rich import progress as rich_progress
        from rich.progress import BarColumn, SpinnerColumn, TextColumn

        bars = rich_progress.Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[done]}", style="dim", markup=False),
            console=self.console,
        )
        known: dict[str, Any] = {}
        started: dict[str, float] = {}

        def show(step: Progress) -> None:
            task = step.task
            if task not in known:
                started[task] = time.monotonic()
                known[task] = bars.add_task("", total=None, title=clean(task), done="")
            whole = step.total or step.done or 1
            bars.update(
                known[task],
                completed=whole if step.finished else step.done,
                total=whole if step.finished else step.total,
                done=clean(_state(step, time.monotonic() - started[task])),
            )

        with bars:
            yield show

    def _plain_tasks(self) -> OnProgress:
        started: dict[str, float] = {}

        def show(step: Progress) -> None:
            begun = started.setdefault(step.task, time.monotonic())
            if step.finished:
                state = _state(step, time.monotonic() - begun)
                self.say(f"• {step.task}  {state}".rstrip())

        return show

    @contextmanager
    def screen(self, render: Render, fps: float = 8) -> Generator[None]:
        """Keep `render` on the terminal while the block runs; without a terminal, draw nothing."""
        if not self.live:
            yield
            return
        from rich.live import Live
        from rich.text import Text

        def picture() -> Text:
            size = self.console.size
            lines = (_text_of(line) for line in render(size.width, size.height))
            return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)

        with Live(
            console=self.console,
            get_renderable=picture,
            refresh_per_second=fps,
            transient=False,
            vertical_overflow="crop",
        ):
            yield


def _print(console: Console, line: Line) -> None:
    """Print a line; a terminal gets it in rows that are broken between words."""
    text = _text_of(line, cropped=False)
    for row in _rows(text, console.width) if console.is_terminal else [text]:
        console.print(row, soft_wrap=True)


def _rows(text: Text, width: int) -> Iterator[Text]:
    sign = _SIGN.match(text.plain)
    indent = sign.end() if sign else 0
    breaks, offset = [0], 0
    for word in _WORD.finditer(text.plain):
        before = text.plain[breaks[-1] : word.start()]
        if before.strip() and offset + columns(before + word.group()) > width:
            breaks.append(word.start())
            offset = indent
    for number, row in enumerate(text.divide(breaks[1:])):
        row.rstrip()
        if number and indent + columns(row.plain) <= width:
            row.pad_left(indent)
        yield row


def _text_of(line: Line, cropped: bool = True) -> Text:
    from rich.text import Text

    spans = ((clean(span.text), span.style) for span in line)
    if not cropped:
        return Text.assemble(*spans)
    return Text.assemble(*spans, overflow="ellipsis", no_wrap=True)


def megabytes(size: float) -> str:
    """Return a number of bytes in MB, or kB below one megabyte (powers of 10, as registries do)."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def dollars(amount: float, signed: bool = False, digits: int = 2) -> str:
    """Return an amount of money, such as $36.50, with its sign also if it is not negative."""
    sign = "-" if amount < 0 else "+" if signed else ""
    return f"{sign}${abs(amount):,.{digits}f}"


def wrapped(text: str, width: int) -> list[str]:
    """Return text in rows of at most `width` columns, as wide characters need them.

    Breaks are between words and where the text has one; only a longer word is broken inside.
    """
    import wcwidth

    rows = (wcwidth.wrap(row, width, break_on_hyphens=False) for row in clean(text).splitlines())
    return [row for part in rows for row in part]


def columns(text: str) -> int:
    """Return the columns that text takes in a terminal: two for each wide character."""
    import wcwidth

    return wcwidth.width(clean(text))


def cropped(text: str, width: int) -> str:
    """Return text of at most `width` columns; what is longer ends with an ellipsis."""
    import wcwidth

    if columns(text) <= width:
        return text
    return f"{wcwidth.clip(clean(text), 0, width - 1)}…" if width > 0 else ""


def _state(step: Progress, seconds: float) -> str:
    size = megabytes(step.done) if step.done else ""
    if step.total and not step.finished:
        size = f"{megabytes(step.done)} of {megabytes(step.total)}"
    took = f"{seconds:.1f} s" if seconds >= 0.1 else ""
    return ", ".join(filter(None, (size, step.note, took)))


def _elapsed(seconds: float) -> Span:
    # Less than a second is not worth showing.
    return Span(f"  {seconds:.1f} s" if seconds >= 1 else "", "dim")

"""Owns typing during a call: lines to send, and single keys."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager

from voicecore.console.output import clean

_REDRAW_SECONDS = 0.125
"""Refresh interval of the prompt, the same as that of the screen."""


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a terminal, pipe or file, until its end.

    A thread reads, because an event loop can watch neither a regular file nor a Windows console.
    It reads the descriptor itself: a thread that is inside sys.stdin when the process ends takes
    the interpreter down with it.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def pump() -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = os.read(descriptor, 4096)
            except OSError:
                chunk = b""
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # the loop is closed: the call is over
                return

    threading.Thread(target=pump, daemon=True, name="stdin").start()
    rest = b""
    while chunk := await chunks.get():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


class _PromptInterrupted(Exception):
    """Ctrl-C was pressed at the prompt."""


class Prompt:
    """A line to type on, which stays below everything that is printed while it is open.

    message: returns the text before the cursor; it is called at every refresh.
    """

    def __init__(self, message: Callable[[], str]) -> None:
        # Imported here: only --text needs it.
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output
        from prompt_toolkit.output.vt100 import Vt100_Output

        output = create_output(sys.stderr)
        if isinstance(output, Vt100_Output):
            # An answer that comes after `above` has printed would scroll that line away: the
            # prompt makes room for as many lines as were free before it.
            output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            lambda: clean(message()),
            output=output,
            interrupt_exception=_PromptInterrupted,
            erase_when_done=True,  # what was typed becomes a line of the transcript
            placeholder=[("ansibrightblack", "Enter sends, Ctrl-D ends the call")],
            refresh_interval=_REDRAW_SECONDS,
        )

    async def lines(self, leave: Callable[[], None]) -> AsyncIterator[str]:
        """Yield the lines typed until Ctrl-D; Ctrl-C, which is only a key here, calls `leave`."""
        while True:
            try:
                yield await self._session.prompt_async(handle_sigint=False)
            except EOFError:
                return
            except _PromptInterrupted:
                leave()
                return

    def above(self, show: Callable[[], None]) -> None:
        """Call `show`, which prints above the prompt."""
        app = self._session.app
        if not app.is_running:
            show()
            return
        app.renderer.erase()
        show()
        app.invalidate()


@contextmanager
def keys(descriptor: int, pressed: Callable[[str], None]) -> Generator[None]:
    """Call `pressed` for every key while the block runs; restore the terminal after it.

    Does nothing without a terminal or without termios (Windows), where Ctrl-C still works.
    """
    try:
        import termios
        import tty
    except ImportError:
        yield
        return
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for key in os.read(descriptor, 64).decode(errors="replace"):
            pressed(key)

    try:
        tty.setcbreak(descriptor)
        loop.add_reader(descriptor, read)
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

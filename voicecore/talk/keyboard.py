"""What is typed while a call goes on: lines to send, or the key that hangs up."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """The lines of a terminal, pipe or file, until its end.

    A thread reads: a regular file cannot be watched by an event loop, a Windows console neither.
    It reads the descriptor itself, because a thread that is caught inside sys.stdin when the
    process ends takes the interpreter down with it.
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


@contextmanager
def keys(descriptor: int, pressed: Callable[[str], None]) -> Generator[None]:
    """Call `pressed` for every key while the block runs; the terminal is restored after it.

    Does nothing where there is no terminal, or no termios (Windows): Ctrl-C works everywhere.
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

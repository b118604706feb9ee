"""Settings of the whole machine that several runs need at once: the last one out restores them."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

RUN = Path("/run/voicecore-lab")


@contextmanager
def shared(
    name: str, change: Callable[[], str], restore: Callable[[str], None], folder: Path = RUN
) -> Iterator[None]:
    """Holds a setting changed until the block ends, and longer if another process still needs it.

    `change` makes the change, or sees that it is made, and returns how things were; `restore` is
    given what the first one returned. A killed run holds nothing: its lock is gone, and what was
    before it is on file.
    """
    folder.mkdir(exist_ok=True)
    before = folder / f"{name}.before"
    with (folder / f"{name}.gate").open("w") as gate, (folder / f"{name}.held").open("w") as held:
        with _locked(gate):
            was = change()
            if not before.exists():
                before.write_text(was)
            fcntl.flock(held, fcntl.LOCK_SH)
        try:
            yield
        finally:
            with _locked(gate):
                if _alone(held):
                    restore(before.read_text())
                    before.unlink()


@contextmanager
def _locked(file: TextIOWrapper) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _alone(held: TextIOWrapper) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Settings of the whole machine that several runs need at once: the last one out restores them."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = Path("/run/voicecore-lab")


@contextmanager
def shared(name: str, change: Callable[[], str], restore: Callable[[str], None]) -> Iterator[None]:
    """Holds a setting changed until the block ends, and longer if another process still needs it.

    `change` makes the change and returns how things were; `restore` is given that. A killed run
    holds nothing: its locks are gone, and what was before it is on file.
    """
    _FOLDER.mkdir(exist_ok=True)
    before = _FOLDER / f"{name}.before"
    with (_FOLDER / f"{name}.gate").open("w") as gate, (_FOLDER / f"{name}.held").open("w") as held:
        with _locked(gate):
            if _alone(held):
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
def _locked(file: object) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)  # type: ignore[arg-type]
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # type: ignore[arg-type]


def _alone(held: object) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except BlockingIOError:
        return False
    return True

"""Settings of the whole machine that several test runs share; the last run restores them."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

RUN = Path("/run/voicecore-lab")


@contextmanager
def shared_setting(
    name: str, change: Callable[[], str], restore: Callable[[str], object], folder: Path = RUN
) -> Iterator[None]:
    """Keep a setting changed during the block, and longer while another process needs it.

    `change` makes the change if necessary and returns the earlier value; `restore` gets the value
    that the first call returned. A killed run keeps no lock, and the earlier value is in a file.
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
                if _is_last_holder(held):
                    restore(before.read_text())
                    before.unlink()


@contextmanager
def _locked(file: TextIOWrapper) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _is_last_holder(held: TextIOWrapper) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

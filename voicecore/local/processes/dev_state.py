"""What a running `voicecore dev` leaves where others find it: `.voicecore/dev.json`.

Whether it runs is for the kernel to say: it holds a lock, which no death can leave behind.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class DevState:
    """Where the local runtime and the session server are, and the keys to the runtime.

    The credentials are made for one run and open nothing but that run's runtime.
    """

    pid: int
    runtime: str
    server: str
    arn: str
    region: str
    access_key_id: str
    secret_access_key: str
    time_scale: float
    stream_seconds: float
    logs: str
    phone: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """The telephone providers served, each with its variables, made up for the run where the
    project has none: who knows them can call as the provider."""


def path_in(folder: Path) -> Path:
    """Where the state of the project's local folder `folder` is kept."""
    return folder / "dev.json"


@contextmanager
def held(folder: Path) -> Generator[bool]:
    """Hold the project's local folder while the block runs; False if another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dev.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def write_state(folder: Path, state: DevState) -> None:
    """Publish `state`, readable by its owner alone, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"dev.json.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(path_in(folder))


def read_state(folder: Path) -> DevState | None:
    """The state of the `voicecore dev` that serves now, or None.

    A file that a killed process left behind counts as none, and so does one not yet written.
    """
    if not path_in(folder).exists():
        return None
    with held(folder) as nobody_runs:
        if nobody_runs:
            # Swept, so that who waits for the next `dev` does not take its lock to look again.
            remove_state(folder)
            return None
        try:
            return DevState(**json.loads(path_in(folder).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def remove_state(folder: Path) -> None:
    """Take the state back, when `voicecore dev` ends."""
    path_in(folder).unlink(missing_ok=True)

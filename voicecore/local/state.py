"""What a running `voicecore dev` leaves where others find it: `.voicecore/dev.json`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
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


def path_in(folder: Path) -> Path:
    """Where the state of the project's local folder `folder` is kept."""
    return folder / "dev.json"


def write_state(folder: Path, state: DevState) -> None:
    """Publish `state`, readable by its owner alone, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"dev.json.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(path_in(folder))


def read_state(folder: Path) -> DevState | None:
    """The state of the `voicecore dev` that runs now, or None.

    A file that a killed process left behind counts as none.
    """
    try:
        state = DevState(**json.loads(path_in(folder).read_text(encoding="utf-8")))
        os.kill(state.pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError, TypeError):
        return None
    return state


def remove_state(folder: Path) -> None:
    """Take the state back, when `voicecore dev` ends."""
    path_in(folder).unlink(missing_ok=True)

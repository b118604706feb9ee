"""Owns `.voicecore/dev.json`, in which other commands find the running `voicecore dev`.

A lock tells whether it runs: the kernel releases the lock however the process ends. It is flock
itself, on a file that `no_links` opens: filelock would add 80 ms to every command that looks for a
running `dev`, and no shorter code.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from voicecore.project.no_links import within


@dataclass(frozen=True)
class DevState:
    """The addresses of the local runtime and the session server, and the runtime's credentials.

    Each run creates its own credentials; only the runtime of that run accepts them.
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
    """Variables of each phone provider; the run generates those that the project lacks. They
    are secret: with them, a program can call as the provider."""

    def exports(self) -> str:
        """Return the shell commands after which AWS's programs call this runtime."""
        values = {
            "AGENT_RUNTIME_ARN": self.arn,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,  # the variable that boto3 reads
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": self.runtime,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
        return "\n".join(["unset AWS_SESSION_TOKEN AWS_PROFILE", *exports])


def path_in(folder: Path) -> Path:
    """Return the path of the state file in the project's local folder."""
    return folder / "dev.json"


@contextmanager
def project_lock(folder: Path) -> Generator[bool]:
    """Lock the project while the block runs; yield False if another process holds the lock."""
    with open(folder / "dev.lock", "w", opener=within(folder.parent)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def write_state(folder: Path, state: DevState) -> None:
    """Write `state` atomically, readable only by its owner."""
    draft = folder / f"dev.json.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=within(folder.parent)) as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(path_in(folder))


def read_state(folder: Path) -> DevState | None:
    """Return the state of the running `voicecore dev`; None if none runs or it still starts.

    Deletes a state file that a killed process left behind.
    """
    if not path_in(folder).exists():
        return None
    with project_lock(folder) as acquired:
        if acquired:
            # Deleted, so that a waiting command does not take the lock from the next `dev`.
            remove_state(folder)
            return None
        try:
            return DevState(**json.loads(path_in(folder).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def remove_state(folder: Path) -> None:
    """Delete the state file when `voicecore dev` ends."""
    path_in(folder).unlink(missing_ok=True)

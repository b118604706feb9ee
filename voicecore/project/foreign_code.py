"""Owns the warning before a project that comes from elsewhere runs with the user's AWS keys."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from voicecore.console.output import Output
from voicecore.project.no_links import within

KEYS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)
"""Variables that give a program AWS credentials."""


def warn_of_foreign_code(output: Output, env: Mapping[str, str], root: Path) -> None:
    """Warn once if `root` was not created on this machine and `env` has AWS credentials.

    Call it before any command that runs code of the project on this machine.
    """
    keys = [name for name in KEYS if env.get(name)]
    if not keys or _is_known(root):
        return
    output.warn(
        f"{root.name} was not created on this machine. Its code is about to run here, with access "
        f"to your AWS credentials ({', '.join(keys)}).\n"
        f"Read agent/ and server/ first, or run it without credentials:  unset {' '.join(keys)}"
    )
    mark_known(root)


def mark_known(root: Path) -> None:
    """Record that the user created this project, or has been warned of it."""
    # Where nothing can be written, the warning comes again.
    with suppress(OSError), open(_marker(root), "w", opener=within(root)) as file:
        file.write(_identity(root))


def _is_known(root: Path) -> bool:
    marker = _marker(root)
    return marker.is_file() and marker.read_text(errors="replace") == _identity(root)


def _marker(root: Path) -> Path:
    return root / ".voicecore" / "known"


def _identity(root: Path) -> str:
    # A cloned project can contain a marker, but not the numbers that this disk gives its folder.
    status = root.stat()
    return f"{root.resolve()} {status.st_dev} {status.st_ino}\n"

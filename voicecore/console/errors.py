"""Owns the errors that users see, and the exit codes that programs see."""

from __future__ import annotations

import errno
from enum import IntEnum

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of OSErrors that mean that a disk, or the user's share of it, is full."""


class ExitCode(IntEnum):
    """Exit code of the process. Scripts can rely on these values."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BAD_PROJECT = 3
    MISSING_TOOL = 4
    AWS_REFUSED = 5
    NOT_DEPLOYED = 6
    INTERRUPTED = 130


class VoicecoreError(Exception):
    """A failure that the user can act on: what failed and why, and what to type next.

    Subclasses are named after the cause and live beside the code that raises them.
    """

    def __init__(
        self, message: str, hint: str | None = None, exit_code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

"""Owns how a command ends: the one place where errors become exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from voicecore.console.errors import DISK_FULL, ExitCode, VoicecoreError

if TYPE_CHECKING:
    from voicecore.console.context import Context

_NOT_ON_WINDOWS = ("fcntl", "grp", "pwd", "resource", "termios")
"""Modules of Python that Windows lacks, and some commands need."""


def end(context: Context, run: Callable[[], ExitCode], as_json: bool) -> None:
    """Run a command and exit with its code; show an error that a user can act on."""
    try:
        code = _explaining_windows(lambda: _explaining_full_disk(run))
    except VoicecoreError as error:
        if as_json:
            context.output.event(_error_document(error))
        else:
            context.output.error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        context.output.say("Interrupted.")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        context.output.discard_data()  # the reader has gone, as in `| head`
        code = ExitCode.FAILED
    except Exception as error:
        if not as_json:
            raise
        context.output.event(_error_document(_internal_error(error)))
        code = ExitCode.FAILED
    raise typer.Exit(code)


def _error_document(error: VoicecoreError) -> dict[str, object]:
    return {
        "error": {
            "message": error.message,
            "hint": error.hint,
            "exit_code": int(error.exit_code),
        }
    }


def _internal_error(error: Exception) -> VoicecoreError:
    """Print the traceback of a mistake in voicecore, and return an error that names it."""
    import traceback

    traceback.print_exception(error)
    return VoicecoreError(
        f"voicecore failed ({type(error).__name__}): {error}",
        "This is a mistake in voicecore. The traceback is in the output for errors (stderr).",
    )


def _explaining_full_disk(run: Callable[[], ExitCode]) -> ExitCode:
    try:
        return run()
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        file = f" while writing {error.filename}" if error.filename else ""
        raise VoicecoreError(
            f"A disk is full{file}: {error.strerror}.",
            "Free space (df -h shows which disk is full), then run the same command again.",
        ) from error


def _explaining_windows(run: Callable[[], ExitCode]) -> ExitCode:
    try:
        return run()
    except ModuleNotFoundError as error:
        if error.name not in _NOT_ON_WINDOWS:
            raise
        raise VoicecoreError(
            "This command runs on Linux and macOS only.",
            "On Windows, run voicecore in WSL2:  wsl --install",
            ExitCode.MISSING_TOOL,
        ) from error

"""Generates the reference of the exit codes."""

from __future__ import annotations

from docs.generators.markdown import same, table
from voicecore.console.errors import ExitCode


def exit_codes() -> str:
    """Return the exit codes."""
    same("exit codes", {code.name for code in ExitCode}, set(_EXIT_CODES))
    return table(
        ("code", "name", "meaning"),
        ((f"`{code.value}`", f"`{code.name}`", _EXIT_CODES[code.name]) for code in ExitCode),
    )


_EXIT_CODES = {
    "OK": "The command did what it says.",
    "FAILED": "The command failed; the message says why.",
    "USAGE": "An option or argument is not valid.",
    "BAD_PROJECT": "`voicecore.toml` is missing or not valid.",
    "MISSING_TOOL": "A tool is missing; the message says how to install it.",
    "AWS_REFUSED": "AWS refused a request; the message quotes AWS.",
    "NOT_DEPLOYED": "The stage is not deployed.",
    "INTERRUPTED": "The command was interrupted (Ctrl-C or SIGTERM).",
}

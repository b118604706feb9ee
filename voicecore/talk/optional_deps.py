"""Owns the libraries of the extras `talk` and `daily`: loaded when needed, or an install hint."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError

MODULES = ("numpy", "google.protobuf", "miniaudio", "livekit.rtc", "av")
"""Modules of the extra `talk`, as they are imported."""


class MissingExtra(VoicecoreError):
    """An extra that `voicecore talk` needs is not installed."""

    def __init__(self, module: str, extra: str = "talk") -> None:
        named = extra if extra == "talk" else f"talk,{extra}"
        super().__init__(
            f"`voicecore talk` needs the Python module {module}, which is not installed.",
            f"Install the extra:  pip install 'voicecore-cli[{named}]'",
            ExitCode.MISSING_TOOL,
        )


def load(module: str, extra: str = "talk") -> Any:
    """Import a module. Raises MissingExtra if it, or a module it imports, is not installed.

    Returns Any, because none of these libraries is fully typed: one typed module wraps each.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or module, extra) from error


def require_talk() -> None:
    """Raise MissingExtra unless the extra `talk` is installed; imports nothing heavy."""
    for module in MODULES:
        if not installed(module):
            raise MissingExtra(module)


def installed(module: str) -> bool:
    """Return whether a module can be found; imports only its parent packages."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package of a dotted name
        return False

"""The libraries of the extra `voicecore[talk]`: loaded when needed, missed with a useful word."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from voicecore.errors import ExitCode, VoicecoreError

MODULES = ("numpy", "google.protobuf", "miniaudio", "livekit.rtc")
"""What the extra brings, as it is imported."""


class MissingExtra(VoicecoreError):
    """voicecore was installed without what it takes to hear and to speak."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"`voicecore talk` needs the Python module {module}, which is not installed.",
            "Install the extra:  pip install 'voicecore[talk]'",
            ExitCode.MISSING_TOOL,
        )


def load(module: str) -> Any:
    """The module; raises MissingExtra.

    Any, because none of these libraries is fully typed: each is wrapped by one typed module.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or module) from error


def require() -> None:
    """Raise MissingExtra unless the whole extra can be found; imports nothing heavy."""
    for module in MODULES:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # the parent package of a dotted name
            found = None
        if found is None:
            raise MissingExtra(module)

"""The libraries of the extras `talk` and `daily`: loaded when needed, missed with a useful word."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError

MODULES = ("numpy", "google.protobuf", "miniaudio", "livekit.rtc")
"""What the extra `talk` brings, as it is imported."""


class MissingExtra(VoicecoreError):
    """voicecore was installed without what it takes to hear and to speak."""

    def __init__(self, module: str, extra: str = "talk") -> None:
        named = extra if extra == "talk" else f"talk,{extra}"
        super().__init__(
            f"`voicecore talk` needs the Python module {module}, which is not installed.",
            f"Install the extra:  pip install 'voicecore-cli[{named}]'",
            ExitCode.MISSING_TOOL,
        )


def load(module: str, extra: str = "talk") -> Any:
    """The module; raises MissingExtra.

    Any, because none of these libraries is fully typed: each is wrapped by one typed module.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or module, extra) from error


def require() -> None:
    """Raise MissingExtra unless the whole extra `talk` can be found; imports nothing heavy."""
    for module in MODULES:
        if not installed(module):
            raise MissingExtra(module)


def installed(module: str) -> bool:
    """Whether the module can be found; imports nothing but its parents."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package of a dotted name
        return False

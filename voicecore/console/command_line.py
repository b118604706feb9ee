"""A command as it was typed, for whoever must type it again."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_UNSAID = ("yes", "json", "dry_run", "export")
"""What says how, not what: a second time one may want to look first."""


def typed(command: str, options: DataclassInstance) -> str:
    """`voicecore COMMAND` with those of its options that are not as they are unsaid."""
    words = ["voicecore", command]
    for option in fields(options):
        value = getattr(options, option.name)
        if option.name not in _UNSAID and value != option.default:
            words.append(f"--{option.name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return shlex.join(words)

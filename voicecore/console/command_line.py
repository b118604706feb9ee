"""Owns how the options of a command are declared, and how the command is written out again.

A command's options are the fields of one dataclass in `voicecore.options`; each field is annotated
with an `Option` or an `Argument`. The command line is built from it (cli/parameters.py), and so is
the command that an error tells the user to type.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, Protocol, cast, get_args


@dataclass(frozen=True, eq=False)
class Argument:
    """A positional argument."""

    help: str
    metavar: str
    choices: Callable[[], Sequence[str]] | None = None
    """Returns the values that a shell completes, and that `{choices}` in the help stands for."""
    completions: Callable[[], Sequence[str]] | None = None
    """As for an Option."""


@dataclass(frozen=True, eq=False)
class Option:
    """An option: a flag if its field is a bool, repeatable if its field is a tuple."""

    help: str
    short: str = ""
    """One-letter form, such as "-p"."""
    name: str = ""
    """Long form, such as "--provider"; empty if it is the field's name."""
    metavar: str | None = None
    choices: Callable[[], Sequence[str]] | None = None
    """Returns the values that a shell completes, and that `{choices}` in the help stands for."""
    completions: Callable[[], Sequence[str]] | None = None
    """Returns the values that a shell completes and the help does not name: they differ by
    project and machine."""
    min: float | None = None
    max: float | None = None
    commas: bool = False
    """True when one value may hold several, separated by commas."""
    once: bool = False
    """True when a suggested command leaves it out, so that the user is asked and reads the answer.

    Never for an option without which the command would do more than the user typed.
    """


class CommandOptions(Protocol):
    """A dataclass of options; every command has --json."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def json(self) -> bool:
        """True when all output is JSON, errors included."""
        ...


def declared(field: Field[Any]) -> Option | Argument:
    """Return what annotates a field of an options dataclass."""
    return get_args(field.type)[1]


def flag_of(field: Field[Any], option: Option) -> str:
    """Return the long form of an option, such as "--dry-run"."""
    return option.name or f"--{field.name.replace('_', '-')}"


def typed(command: str, options: CommandOptions, *flags: str) -> str:
    """Return the `voicecore` command that gives these options, and these flags besides.

    Options that have their default, or `Option.once`, are left out.
    """
    words = ["voicecore", command]
    for field in fields(options):
        value, option = getattr(options, field.name), declared(field)
        if isinstance(option, Argument):
            words += [] if value is None else [str(value)]
        elif not option.once and value != field.default:
            values = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
            for each in values:
                words += [flag_of(field, option), *([] if each is True else [str(each)])]
    return shlex.join([*words, *(flag for flag in flags if flag not in words)])

"""Owns invalid settings of voicecore.toml: what a report says of one, whatever the setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from voicecore.catalog import regions


@dataclass(frozen=True)
class InvalidSetting:
    """A setting with an invalid value, or a missing one."""

    key: str
    """Dotted path of the setting, such as "stages.prod.region"."""
    message: str
    """Predicate of a sentence about it, without a full stop."""


def unknown_keys(
    table: str, settings: Iterable[str], known: tuple[str, ...]
) -> Iterator[InvalidSetting]:
    """Yield each key that is not a known one; `table` is its table's path, with a final dot."""
    for key in settings:
        if key not in known:
            hint = did_you_mean(key, known) or (one_of(known) if table else "")
            yield InvalidSetting(f"{table}{key}", f"is not a known setting{hint}")


def invalid_number(
    key: str, value: object, limits: tuple[int, int], unit: str = ""
) -> Iterator[InvalidSetting]:
    """Yield the setting unless its value is a whole number within the limits."""
    low, high = limits
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        yield InvalidSetting(
            key, f"must be a whole number from {low} to {high}{' ' * bool(unit)}{unit}"
        )


def unknown(key: str, value: object, choices: tuple[str, ...]) -> InvalidSetting:
    """Return the setting whose value is none of the choices."""
    hint = did_you_mean(str(value), choices) or one_of(choices)
    return InvalidSetting(key, f"{value!r} is unknown{hint}")


def did_you_mean(word: str, choices: tuple[str, ...]) -> str:
    """Return the end of a sentence that names the choice closest to `word`; empty if none is."""
    known_as = {f"{choice}_{kind}": choice for choice in choices for kind in ("arn", "id", "name")}
    match = known_as.get(word) or regions.closest(word, choices)
    return f"; did you mean {match!r}?" if match else ""


def one_of(choices: tuple[str, ...]) -> str:
    """Return the end of a sentence that lists the choices, if there are any."""
    return f"; choose from {', '.join(choices)}" if choices else ""

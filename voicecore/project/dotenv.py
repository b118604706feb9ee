"""Owns the .env files of a project, and the environment of the processes it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from voicecore.project.project import BadProject


def without_ours(env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` without the virtual environment that voicecore itself runs in."""
    return {name: value for name, value in env.items() if name != "VIRTUAL_ENV"}


def dotenv_of(folder: Path) -> dict[str, str]:
    """Return the variables in a folder's .env; empty without one. Raises BadProject."""
    path = folder / ".env"
    try:
        values = dotenv_values(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadProject(f"{path} is not UTF-8 text: {error}.") from error
    return {name: value for name, value in values.items() if value is not None}

"""Environment variables of the processes that voicecore starts, and their .env files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from voicecore.project.project import BadProject


def without_ours(env: Mapping[str, str]) -> dict[str, str]:
    """`env` for a child with a virtual environment of its own: voicecore's is not meant."""
    return {name: value for name, value in env.items() if name != "VIRTUAL_ENV"}


def dotenv_of(folder: Path) -> dict[str, str]:
    """The variables in the .env of `folder`; none if there is no such file. Raises BadProject."""
    path = folder / ".env"
    try:
        values = dotenv_values(path)
    except UnicodeDecodeError as error:
        raise BadProject(f"{path} is no UTF-8 text: {error}.") from error
    return {name: value for name, value in values.items() if value is not None}

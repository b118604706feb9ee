"""Explains errors that come of what this agent leaves out, and says how to have it after all."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
IN_THE_IMAGE = re.compile(r"/opt/packages/[\w./-]+\w")


class LeftOut(Exception):
    """Something is needed that this agent leaves out."""


def explain(error: BaseException) -> str:
    """What to do about `error`, if something that is left out is behind it, else ""."""
    left_out = packages()
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0].replace("_", "-").lower()
            if package in left_out:
                return (
                    f"agent/pyproject.toml leaves out {package}: to have it, remove it from "
                    "exclude-dependencies there, then `uv lock --project agent`."
                )
        path = IN_THE_IMAGE.search(str(cause))
        if path and not Path(path[0]).exists():
            return f"{path[0]} is not in the image: agent/internal/prune.py removes it."
        cause = cause.__cause__ or cause.__context__
    return ""


def packages() -> list[str]:
    """The packages that pyproject.toml leaves out."""
    try:
        settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    except (OSError, ValueError):
        return []  # whoever explains an error must not make another
    return settings.get("tool", {}).get("uv", {}).get("exclude-dependencies", [])

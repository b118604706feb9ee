"""Owns the explanation of import errors that come from packages this agent leaves out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
IN_THE_IMAGE = re.compile(r"/opt/packages/[\w./-]+\w")


class ModuleExcluded(Exception):
    """The agent needs a package that it leaves out."""


def explain(error: BaseException) -> str:
    """Return how to fix `error` if an excluded package or file caused it, else ""."""
    excluded = excluded_packages()
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0].replace("_", "-").lower()
            if package in excluded:
                return (
                    f"agent/pyproject.toml excludes {package}. To include it, remove it from "
                    "exclude-dependencies, then run `uv lock --project agent`."
                )
        path = IN_THE_IMAGE.search(str(cause))
        if path and not Path(path[0]).exists():
            return f"{path[0]} is not in the image: agent/internal/prune.py removes it."
        cause = cause.__cause__ or cause.__context__
    return ""


def excluded_packages() -> list[str]:
    """Return the packages that pyproject.toml excludes."""
    try:
        settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    except (OSError, ValueError):
        return []  # explaining an error must not raise another
    return settings.get("tool", {}).get("uv", {}).get("exclude-dependencies", [])

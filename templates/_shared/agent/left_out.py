"""Explains errors that come of what this agent leaves out, and says how to have it after all."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).with_name("pyproject.toml")
IN_THE_IMAGE = re.compile(r"/opt/packages/[\w./-]+\w")


class LeftOut(Exception):
    """Something is needed that this agent leaves out."""


def explain(error: BaseException | None) -> str:
    """What to do about `error`, if something that is left out is behind it, else ""."""
    settings = tomllib.loads(PYPROJECT.read_text("utf-8"))
    left_out = settings.get("tool", {}).get("uv", {}).get("exclude-dependencies", [])
    while error:
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0].replace("_", "-").lower()
            if package in left_out:
                return (
                    f"agent/pyproject.toml leaves out {package}: to have it, remove it from "
                    "exclude-dependencies there, then `uv lock --project agent`."
                )
        path = IN_THE_IMAGE.search(str(error))
        if path and not Path(path[0]).exists():
            return f"{path[0]} is not in the image: agent/slim.py lists what it leaves out."
        error = error.__cause__ or error.__context__
    return ""

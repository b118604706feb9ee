"""Puts the pages of the docs into the wheel, for `voicecore docs`, without their pictures."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Docs(BuildHookInterface):
    """The build hook of pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each page; an editable installation reads them from the checkout."""
        docs = Path(self.root, "docs")
        for page in docs.rglob("*.md") if version != "editable" else ():
            inside = f"voicecore/_docs/{page.relative_to(docs).as_posix()}"
            build_data["force_include"][str(page)] = inside

"""Owns a project's identity: the ID in voicecore.toml, and which resources are the project's.

A name is taken twice easily; two projects never have the same ID. A project of before IDs gets one
by a deploy. Until its resources and all its checkouts have it, no ID and such an ID match.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voicecore.project import aws_names
from voicecore.project.no_links import within

ID_HINT = ', such as "3f9c02d1a7b4"; `voicecore init` makes one'

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")
_LATE = "late-"  # IDs that deploy gave to projects that were deployed without one
_NAME_LINE = re.compile(r"^name[ \t]*=.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Owner:
    """A project, as far as the tags of its resources tell."""

    project: str
    id: str = ""

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Return True when a resource with these tags is this project's."""
        other = tags.get(aws_names.TAG_ID, "")
        same = self.id == other or (not (self.id and other) and _late(self.id) and _late(other))
        return same and tags.get(aws_names.TAG_PROJECT) == self.project


def new_id() -> str:
    """Return a new ID."""
    return secrets.token_hex(6)


def new_late_id() -> str:
    """Return a new ID for a project that may have been deployed without one."""
    return f"{_LATE}{new_id()}"


def _late(id: str) -> bool:
    """Return True for the ID of a project of before IDs, and for none."""
    return not id or id.startswith(_LATE)


def is_id(value: object) -> bool:
    """Return True when voicecore.toml may have this ID."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def line_of(id: str) -> str:
    """Return the line of voicecore.toml with this ID."""
    return f'id = "{id}"   # tells its resources in AWS from those of another project of this name'


def write_id(file: Path, id: str) -> None:
    """Add the ID to a voicecore.toml that has none, below the name. Raises OSError."""
    text = file.read_text(encoding="utf-8-sig")
    found = _NAME_LINE.search(text)
    # Keys above the first table belong to the project.
    above = found.end() if found and "\n[" not in text[: found.start()] else 0
    with open(file, "w", encoding="utf-8", opener=within(file.parent, mode=0o666)) as target:
        target.write(f"{text[:above]}{line_of(id)}\n{text[above:]}")

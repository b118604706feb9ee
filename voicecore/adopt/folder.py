"""Owns reading the user's folder: the texts that tell what its agent is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_SKIPPED = frozenset(
    (
        "node_modules", "__pycache__", "venv", "env", "site-packages", "build", "dist", "test",
        "tests", "cdk.out",
    )
)  # fmt: skip
_DEPTH = 3
"""Folders below the user's in which modules are looked for."""
_FILES_MAX = 400
_BYTES_MAX = 512 * 1024

_NAMES = frozenset(
    ("Dockerfile", "pyproject.toml", ".python-version", ".env.example", "env.example", "uv.lock")
)
_ABOVE = ("pyproject.toml", "requirements.txt", "uv.lock")
"""Files that may be one level up, for several agents together."""


@dataclass(frozen=True)
class Folder:
    """The texts of a folder, by path from it; of the folder above, with `../`."""

    name: str
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def modules(self) -> dict[str, str]:
        """Return the Python modules."""
        return {path: text for path, text in self.files.items() if path.endswith(".py")}

    def has(self, path: str) -> bool:
        """Return whether the folder has this file."""
        return path in self.files


def read_folder(root: Path) -> Folder:
    """Return the texts in `root` that tell what its agent is."""
    found: dict[str, str] = {}
    for path in _paths(root, _DEPTH):
        if len(found) == _FILES_MAX:
            break
        _read(path, path.relative_to(root).as_posix(), found)
    for name in _ABOVE:
        _read(root.parent / name, f"../{name}", found)
    return Folder(root.name, found)


def _paths(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_dir(), entry.name))
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if depth and entry.name not in _SKIPPED and not entry.name.startswith("."):
                yield from _paths(path, depth - 1)
        elif _is_read(PurePosixPath(entry.name)):
            yield path


def _is_read(name: PurePosixPath) -> bool:
    listed = name.suffix == ".txt" and name.name.startswith("requirements")
    module = name.suffix == ".py" and not name.name.startswith(("test_", "conftest"))
    return module or listed or name.name in _NAMES


def _read(path: Path, name: str, found: dict[str, str]) -> None:
    # Unreadable, not a file, or not UTF-8: it tells nothing.
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= _BYTES_MAX:
            found[name] = path.read_text(encoding="utf-8-sig")

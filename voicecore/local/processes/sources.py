"""Owns which saved files restart the agent or the session server."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = frozenset(
    (".py", ".toml", ".json", ".yaml", ".yml", ".txt", ".md", ".j2", ".jinja", ".jinja2", ".env")
)
# Files without such a suffix that are part of a container image.
_NAMES = frozenset((".env", "Dockerfile", ".dockerignore", "uv.lock"))
_IGNORED_FOLDERS = frozenset(
    (".venv", "__pycache__", ".git", ".pytest_cache", ".ruff_cache", ".voicecore", "node_modules")
)


def is_source(path: Path, root: Path) -> bool:
    """Return whether saving `path` makes a new version of the program under `root`."""
    parts = path.relative_to(root).parts
    if _IGNORED_FOLDERS.intersection(parts):
        return False
    return path.suffix in _SUFFIXES or path.name in _NAMES


def source_folders(root: Path) -> list[Path]:
    """Return `root` and the folders under it that can hold source files."""
    below = (path for path in root.iterdir() if path.is_dir() and not _is_ignored(path))
    return [root, *(folder for path in sorted(below) for folder in source_folders(path))]


def _is_ignored(folder: Path) -> bool:
    # A virtual environment may have any name.
    return folder.name in _IGNORED_FOLDERS or (folder / "pyvenv.cfg").exists()

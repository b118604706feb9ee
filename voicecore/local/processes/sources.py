"""Owns which saved files restart the agent or the session server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path

import watchfiles

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


async def saves(root: Path) -> AsyncGenerator[None]:
    """Yield whenever source files under `root`, a resolved path, were saved.

    It watches before it first waits, and while its caller works, unless there is a new folder.
    """
    while True:
        folders = source_folders(root)
        changes = watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] (trio's types)
            *folders,
            watch_filter=None,
            debounce=200,  # ms; editors save in several steps
            step=50,
            recursive=False,  # recursion would watch the thousands of folders in .venv
        )
        async with aclosing(changes):
            async for changed in changes:
                current = source_folders(root)
                added = _sources_in([each for each in current if each not in folders], root)
                if any(is_source(Path(path), root) for _, path in changed) or any(added):
                    yield
                if current != folders:
                    break


def saved_since(moment: float, root: Path) -> bool:
    """Return whether a source file under `root` was saved after `moment`, in seconds since 1970."""
    files = _sources_in(source_folders(root), root)
    return any(path.lstat().st_mtime > moment for path in files)


def source_folders(root: Path) -> list[Path]:
    """Return `root` and the folders under it that can hold source files."""
    below = (path for path in root.iterdir() if path.is_dir() and not _is_ignored(path))
    return [root, *(folder for path in sorted(below) for folder in source_folders(path))]


def _sources_in(folders: Iterable[Path], root: Path) -> Iterator[Path]:
    files = (path for folder in folders for path in folder.iterdir())
    return (path for path in files if is_source(path, root))


def _is_ignored(folder: Path) -> bool:
    # A virtual environment may have any name.
    return folder.name in _IGNORED_FOLDERS or (folder / "pyvenv.cfg").exists()

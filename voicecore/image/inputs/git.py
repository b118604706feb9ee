"""Owns asking git about a project, on a machine that may not have it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def git(folder: Path, env: Mapping[str, str], *words: str) -> str | None:
    """Return what a git command prints in `folder`; None if it fails, as it does outside git."""
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), *words], env=dict(env), capture_output=True, text=True
        )
    except FileNotFoundError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def revision_of(folder: Path, env: Mapping[str, str]) -> str | None:
    """Return the commit, with "-dirty" if files have changed since; None outside git."""
    commit = git(folder, env, "rev-parse", "HEAD")
    dirty = commit and git(folder, env, "status", "--porcelain", "--", ".")
    return f"{commit}-dirty" if dirty else commit

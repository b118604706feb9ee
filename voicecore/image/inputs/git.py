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

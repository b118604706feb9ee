"""Where the making of images keeps what it can use again; deleting it costs time, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_in(env: Mapping[str, str]) -> Path:
    """The user's cache folder for images (XDG Base Directory Specification, XDG_CACHE_HOME)."""
    home = env.get("XDG_CACHE_HOME", "")
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return root / "voicecore" / "image"


def bases_in(env: Mapping[str, str]) -> Path:
    """What the digests of base images stand for."""
    return cache_in(env) / "bases"


def store_in(env: Mapping[str, str]) -> Path:
    """Layers and configs of images that were built without Docker, by digest."""
    return cache_in(env) / "store"


def locks_in(env: Mapping[str, str]) -> Path:
    """A file for each lockfile that was found good."""
    return cache_in(env) / "locks"

"""Owns the places of the image cache on disk; deleting it only makes the next build slower."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(env: Mapping[str, str]) -> Path:
    """Return the user's cache folder for images (XDG Base Directory Specification)."""
    home = env.get("XDG_CACHE_HOME", "")
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return root / "voicecore" / "image"


def bases_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of base images' manifests and configs, one file per digest."""
    return cache_folder(env) / "bases"


def blobs_folder(env: Mapping[str, str]) -> Path:
    """Return the blob store of images built without Docker: layers and configs by digest."""
    return cache_folder(env) / "store"


def locks_folder(env: Mapping[str, str]) -> Path:
    """Return the folder with one marker file per lockfile that passed its checks."""
    return cache_folder(env) / "locks"

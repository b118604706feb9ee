"""Owns the base image: which digest its name points to, and its manifest and config."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from voicecore.image.blob_store import write_atomically
from voicecore.image.model import BaseImage
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import RegistryLogins
from voicecore.image.registry.manifests import require_image
from voicecore.image.registry.reference import Reference, parse_reference

OLD_DAYS = 60
"""Age from which a base counts as old: Debian and Python publish security fixes every few weeks."""


async def resolve(name: str, cache: Path, logins: RegistryLogins) -> BaseImage:
    """Return the base called `name` (with or without a digest), with its linux/arm64 image.

    A digest always means the same image, so the folder `cache` keeps it; a base with a cached
    digest needs no network. Raises what `Repository` raises: ImageMissing, PlatformMissing,
    RegistryUnreachable.
    """
    reference = parse_reference(name)
    cached = cache / f"{reference.digest.removeprefix('sha256:')}.json"
    if reference.digest and (known := _cached(cached)):
        # A mirror has the same image by another name; keep the name that the Dockerfile uses.
        return replace(known, name=_name_of(reference))
    async with Repository(reference, logins.source_for(reference.registry)) as repository:
        found = await repository.image(reference.version)
    base = BaseImage(_name_of(reference), found.digest, found.manifest, found.config)
    _save(base, cache)
    return base


async def newest(name: str, cache: Path, logins: RegistryLogins) -> BaseImage:
    """Return the base that the tag in `name` points to now, ignoring its digest."""
    return await resolve(_name_of(parse_reference(name)), cache, logins)


def _cached(path: Path) -> BaseImage | None:
    try:
        known = BaseImage(**json.loads(path.read_text(encoding="utf-8")))
        require_image(known.manifest, known.config)
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # missing, or written by another version of voicecore
    return known


def _name_of(reference: Reference) -> str:
    return f"{reference.name}:{reference.tag or 'latest'}"


def _save(base: BaseImage, cache: Path) -> None:
    content = {"name": base.name, "digest": base.digest}
    content |= {"manifest": base.manifest, "config": base.config}
    path = cache / f"{base.digest.removeprefix('sha256:')}.json"
    # Agent and server often share a base, and are planned at the same time.
    write_atomically(path, json.dumps(content).encode())

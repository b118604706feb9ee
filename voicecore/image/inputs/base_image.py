"""The base image: what its name stands for today, and the digest by which a build names it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from voicecore.image.builders.layers import write_whole
from voicecore.image.model import Base
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import source_for
from voicecore.image.registry.reference import Reference, parse_reference

OLD_DAYS = 60
"""Age from which a base is told to be old: Debian's and Python's mends come every few weeks."""


async def resolve(name: str, cache: Path) -> Base:
    """The base called `name` (with or without a digest), with its linux/arm64 image.

    What a digest stands for never changes, so that is kept in the folder `cache`, and known
    without a network from then on. Raises what `registry.Repository` raises: ImageMissing,
    NoSuchPlatform, RegistryUnreachable.
    """
    reference = parse_reference(name)
    kept = cache / f"{reference.digest.removeprefix('sha256:')}.json"
    if reference.digest and kept.exists():
        # A mirror has the same image by another name, and that name is the one to stay.
        known = Base(**json.loads(kept.read_text(encoding="utf-8")))
        return replace(known, name=_name_of(reference))
    async with Repository(reference, source_for(reference.registry)) as repository:
        found = await repository.image(reference.version)
    base = Base(_name_of(reference), found.digest, found.manifest, found.config)
    _keep(base, cache)
    return base


async def newest(name: str, cache: Path) -> Base:
    """The base that the tag in `name` stands for now, whatever its digest says."""
    return await resolve(_name_of(parse_reference(name)), cache)


def _name_of(reference: Reference) -> str:
    return f"{reference.name}:{reference.tag or 'latest'}"


def _keep(base: Base, cache: Path) -> None:
    content = {"name": base.name, "digest": base.digest}
    content |= {"manifest": base.manifest, "config": base.config}
    path = cache / f"{base.digest.removeprefix('sha256:')}.json"
    # The agent and the server, which stand on the same base, are planned at once.
    write_whole(path, json.dumps(content).encode())

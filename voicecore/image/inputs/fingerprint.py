"""Owns the fingerprint of an image, computed from its files and its base alone; it is the tag."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from voicecore import __version__
from voicecore.image.inputs.build_context import HOST_FILES, ContextFile
from voicecore.image.model import BaseImage

BUILD_VERSION = 1
"""Version of how builders assemble an image; a new version gives every image a new tag."""

DOCKERFILE = "Dockerfile"

# Hexadecimal digits of a tag: 80 bits, enough against collisions in any project.
_TAG_DIGITS = 20

# Files that the packages depend on; an edit of any other file keeps their layer.
_PACKAGE_INPUTS = ("pyproject.toml", "uv.lock", "internal/prune.py", *HOST_FILES)


def with_content(files: Sequence[ContextFile], path: str, text: str) -> list[ContextFile]:
    """Return `files` as if the file at `path` contained `text`."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return [replace(file, sha256=sha256) if file.path == path else file for file in files]


def fingerprint(files: Sequence[ContextFile], base_digest: str) -> str:
    """Return the image's tag: equal files on an equal base have an equal tag on every machine."""
    return _digest(files, base_digest)[:_TAG_DIGITS]


def packages_key(
    files: Sequence[ContextFile], base_digest: str, inputs: Sequence[str] = _PACKAGE_INPUTS
) -> str:
    """Return the cache key of the packages' layer, which depends on its `inputs` alone."""
    return _digest([file for file in files if file.path in inputs], base_digest)


def stdlib_key(files: Sequence[ContextFile], base_digest: str) -> str:
    """Return the cache key of the layer with the standard library's bytecode."""
    return _digest([file for file in files if file.path == "internal/prune.py"], base_digest)


def _digest(files: Sequence[ContextFile], base_digest: str) -> str:
    # Other words here would change every tag, so that every image is built again.
    lines = [f"recipe {BUILD_VERSION}", f"base {base_digest}"]
    lines += [f"{'x' if f.executable else '-'} {f.sha256} {_one_line(f.path)}" for f in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _one_line(path: str) -> str:
    return path.replace("\\", "\\\\").replace("\n", "\\n")


def labels(
    name: str, version: str, revision: str | None, base: BaseImage, tag: str
) -> dict[str, str]:
    """Return the image's labels: OCI's (opencontainers/image-spec, annotations.md) and ours.

    `revision` is the project's commit, if it has one.
    """
    values = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision or "",
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.digest,
        "io.voicecore.version": __version__,
        "io.voicecore.fingerprint": tag,
    }
    return {name: value for name, value in values.items() if value}


def epoch_of(base: BaseImage) -> int:
    """Return the image's creation time, which is its base's, in seconds since 1970.

    A fixed time makes equal inputs give an equal image; builders call it SOURCE_DATE_EPOCH
    (reproducible-builds.org/specs/source-date-epoch).
    """
    return int(datetime.fromisoformat(base.created).timestamp()) if base.created else 0


def age_of(base: BaseImage, now: datetime) -> int | None:
    """Return the base's age in days; None if its config has no creation time."""
    return (now - datetime.fromisoformat(base.created)).days if base.created else None

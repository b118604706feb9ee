"""Owns the values that describe an image: its base, its layers and its packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PLATFORM = "linux/arm64"
"""The only platform that AgentCore Runtime runs (runtime-http-protocol-contract)."""


@dataclass(frozen=True)
class BaseImage:
    """The image that the agent's image is built on, as its registry describes it."""

    name: str
    """Name in the Dockerfile, without the digest."""
    digest: str
    """Digest that the name points to: of an index of platforms, or of a single image."""
    manifest: Mapping[str, Any]
    """Manifest of its linux/arm64 image."""
    config: Mapping[str, Any]
    """Config of its linux/arm64 image."""

    @property
    def reference(self) -> str:
        """Name with the digest, for a FROM line; no later push changes what it points to."""
        return f"{self.name}@{self.digest}"

    @property
    def created(self) -> str:
        """Time of creation (RFC 3339); empty if the config has none."""
        return str(self.config.get("created") or "")


_TITLES = {
    "/image/usr": "Python's bytecode",
    "/image/opt": "packages",
    "/image/app": "code",
    "/image/bot": "bot.py",
    "/packages": "packages",
    ".": "code",
}


def copy_title(source: str) -> str:
    """Return the title of the layer that a COPY of `source` makes."""
    return _TITLES.get("/".join(source.split("/")[:3]), source)


def instruction_title(instruction: str) -> str:
    """Return the title of the layer that an instruction makes, from BuildKit's `created_by`."""
    line = instruction.removesuffix(" # buildkit")
    words = line.split()
    if words[:1] != ["COPY"] or len(words) < 3:
        return line
    title = copy_title(words[-2])
    return line if title == words[-2] else title


@dataclass(frozen=True)
class Layer:
    """One layer of an image."""

    title: str
    """"base", a title of `copy_title`, or the instruction that made the layer."""
    diff_id: str
    """Digest of the uncompressed tar."""
    unpacked: int
    """Size of the uncompressed tar in bytes; 0 when unknown."""
    digest: str = ""
    """Digest of the compressed tar; empty when an engine keeps no compressed tar."""
    size: int = 0
    """Size of the compressed tar in bytes, as pushed and stored; 0 when unknown."""


@dataclass(frozen=True)
class Package:
    """An installed Python package and its size in the image."""

    name: str
    version: str
    bytes: int


@dataclass(frozen=True)
class BuiltImage:
    """An image that has been built."""

    tag: str
    """Fingerprint of everything the image is built from."""
    digest: str
    """Digest of the manifest, which registries know the image by."""
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    packages: tuple[Package, ...]
    """Packages, largest first."""

    @property
    def size(self) -> int:
        """Compressed bytes of all layers; 0 when an engine does not know them."""
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Uncompressed bytes of all layers."""
        return sum(layer.unpacked for layer in self.layers)

"""What an image is made of: the values that builders share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voicecore.console.progress import Progress

PLATFORM = "linux/arm64"
"""The one platform that AgentCore Runtime takes (runtime-http-protocol-contract)."""


Tell = Callable[[Progress], None]
"""Takes each step of the progress; called from any thread."""


@dataclass(frozen=True)
class Base:
    """The image that the agent's image stands on, as its registry describes it."""

    name: str
    """As the Dockerfile names it, without the digest."""
    digest: str
    """Of what the name stands for: an index of platforms, or a single image."""
    manifest: Mapping[str, Any]
    """The manifest of its linux/arm64 image."""
    config: Mapping[str, Any]
    """The config of its linux/arm64 image."""

    @property
    def reference(self) -> str:
        """The name with the digest: what a FROM line takes and no push can change."""
        return f"{self.name}@{self.digest}"

    @property
    def created(self) -> str:
        """When it was made (RFC 3339)."""
        return str(self.config.get("created", ""))


_TITLES = {
    "/image/usr": "Python's bytecode",
    "/image/opt": "packages",
    "/image/app": "code",
    "/image/bot": "bot.py",
}


def layer_title(source: str) -> str:
    """What the layer of a COPY from the Dockerfile's build stage is called."""
    return _TITLES.get("/".join(source.split("/")[:3]), source)


def title_of(instruction: str) -> str:
    """What the layer of a Dockerfile's instruction is called, in BuildKit's words for it."""
    line = instruction.removesuffix(" # buildkit")
    words = line.split()
    if words[:1] != ["COPY"] or len(words) < 3:
        return line
    title = layer_title(words[-2])
    return line if title == words[-2] else title


@dataclass(frozen=True)
class Layer:
    """One layer of an image."""

    title: str
    """"base", as `layer_title` says, or the instruction that made it."""
    diff_id: str
    """Digest of the tar."""
    unpacked: int
    """Size of the tar, in bytes."""
    digest: str = ""
    """Digest of the compressed tar; empty where an engine keeps none."""
    size: int = 0
    """Size of the compressed tar in bytes: what is sent and stored; 0 where it is not known."""


@dataclass(frozen=True)
class Package:
    """An installed package and what it weighs in the image."""

    name: str
    version: str
    bytes: int


@dataclass(frozen=True)
class Image:
    """An image that has been built."""

    tag: str
    """The fingerprint of all that went into it."""
    digest: str
    """Of its manifest: what a registry knows it by."""
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    packages: tuple[Package, ...]
    """Largest first."""

    @property
    def size(self) -> int:
        """Compressed bytes of all layers; 0 where an engine does not know them."""
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Bytes of all layers, unpacked."""
        return sum(layer.unpacked for layer in self.layers)

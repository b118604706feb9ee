"""Owns a stage's versions, kept in tags of its runtime: number, image, time and message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

VERSIONS_KEPT = 20
"""Number of versions kept; a runtime can have 50 tags."""

_VALUE_MAX = 256  # characters of a tag's value

_KEY = re.compile(r"voicecore:v([1-9][0-9]*)")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Version:
    """One deployment of a stage."""

    number: int
    image: str
    """The image's digest: "sha256:..."."""
    time: datetime
    message: str = ""
    """The deployer's message, as a tag can keep it: one line, cut if it is too long."""

    @property
    def title(self) -> str:
        """The version in one line."""
        return f"v{self.number} {self.time.astimezone(UTC):{_TIME}} {self.message}".rstrip()


def with_next_version(
    versions: Sequence[Version], image: str, message: str, now: datetime
) -> tuple[Version, ...]:
    """Return the history with one more version, oldest first, at most VERSIONS_KEPT."""
    number = max((version.number for version in versions), default=0) + 1
    ordered = sorted(versions, key=lambda version: version.number)
    time = now.replace(microsecond=0)
    added = Version(number, image, time, _kept(message, len(_head(time, image))))
    return (*ordered, added)[-VERSIONS_KEPT:]


def tags_of(versions: Sequence[Version]) -> dict[str, str]:
    """Return the tags for these versions."""
    return {f"voicecore:v{version.number}": _encode(version) for version in versions}


def versions_in(tags: Mapping[str, str]) -> tuple[Version, ...]:
    """Return the versions in tags, oldest first; other tags are ignored."""
    read = (
        _decode(int(key[1]), value) for name, value in tags.items() if (key := _KEY.fullmatch(name))
    )
    return tuple(sorted((v for v in read if v), key=lambda version: version.number))


def _encode(version: Version) -> str:
    return f"{_head(version.time, version.image)} {_quoted(version.message)}".rstrip()


def _head(time: datetime, image: str) -> str:
    return f"{time.astimezone(UTC):{_TIME}} {image}"


def _kept(message: str, head: int) -> str:
    """Return what a tag keeps of a message behind a head of this length.

    Stack and tag must have the same, or the next deploy would find a difference.
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in message)
    message, room = " ".join(plain.split()), _VALUE_MAX - head - 1
    while len(quoted := _quoted(message)) > room:
        message = message[: len(message) - max(1, (len(quoted) - room) // len(_quoted("😀")))]
    return message.rstrip()


def _quoted(text: str) -> str:
    # Tags allow few characters, and the percent sign is not one of them.
    return quote(text, safe=" :/+@").replace("~", "%7E").replace("%", "=")


def _decode(number: int, value: str) -> Version | None:
    time, _, rest = value.partition(" ")
    image, _, message = rest.partition(" ")
    try:
        when = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None  # not one of ours
    return Version(number, image, when, unquote(message.replace("=", "%")))

"""Owns a stage's versions, and which of them callers reach.

AWS keeps neither message, commit nor deployer of a version. Tags of the runtime do, in the stack's
template: every machine finds them, they change with the version that they describe, and they end
with the stage. Which version callers reach, and reached before, are parameters of the stack.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, unquote

VERSIONS_KEPT = 20
"""Number of versions kept; a runtime can have 50 tags."""

LIVE_VERSION = "LiveVersion"
EARLIER_VERSIONS = "EarlierVersions"

NONE = "none"
"""Value of EARLIER_VERSIONS without any: AWS takes no empty text where it is shown."""

_VALUE_MAX = 256  # characters of a tag's value
_COMMIT_MAX = 12  # digits of a commit's hash, which tell it from all others of a project
_BY_MAX = 60  # characters of the deployer's name in a tag, which leave a third to the message
_EARLIER_KEPT = 10

_SAFE = " :/+@"  # what a message keeps unquoted, besides letters and digits

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
    commit: str = ""
    """Short hash of the project's commit, with "-dirty" after changes; empty outside git."""
    by: str = ""
    """Who deployed it, as AWS names the identity; empty for versions of before."""

    @property
    def title(self) -> str:
        """The version in one line."""
        return f"v{self.number} {self.time.astimezone(UTC):{_TIME}} {self.message}".rstrip()


@dataclass(frozen=True)
class Live:
    """AgentCore's version that callers reach, and those that they reached before it."""

    version: str = "1"
    """The first one is what callers of a new runtime reach."""
    earlier: tuple[str, ...] = ()
    """Each once, in the order in which callers left them."""

    def moved(self, version: str) -> Live:
        """Return the same after a move of callers to this version."""
        others = [each for each in self.earlier if each not in (version, self.version)]
        left = [] if version == self.version else [self.version]
        return Live(version, (*others, *left)[-_EARLIER_KEPT:])

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the stack that say it."""
        return {LIVE_VERSION: self.version, EARLIER_VERSIONS: ",".join(self.earlier) or NONE}


NEW = Live()
"""Callers of a new runtime."""


def live_in(parameters: Mapping[str, str]) -> Live | None:
    """Return what a stack's parameters say; None for a stack of before them."""
    if LIVE_VERSION not in parameters:
        return None
    earlier = parameters.get(EARLIER_VERSIONS, NONE)
    return Live(parameters[LIVE_VERSION], tuple(filter(str.isdecimal, earlier.split(","))))


def with_next_version(
    versions: Sequence[Version],
    image: str,
    message: str,
    now: datetime,
    commit: str = "",
    by: str = "",
) -> tuple[Version, ...]:
    """Return the history with one more version, oldest first, at most VERSIONS_KEPT."""
    number = max((version.number for version in versions), default=0) + 1
    ordered = sorted(versions, key=lambda version: version.number)
    time = now.replace(microsecond=0)
    hash, dash, state = commit.partition("-")
    short = f"{hash[:_COMMIT_MAX]}{dash}{state}"
    added = Version(number, image, time, commit=short, by=_cut(by, _BY_MAX, ""))
    kept = _cut(_one_line(message), _VALUE_MAX - len(_head(added)) - 1)
    return (*ordered, replace(added, message=kept.rstrip()))[-VERSIONS_KEPT:]


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
    return f"{_head(version)} {_quoted(version.message)}".rstrip()


def _head(version: Version) -> str:
    # A plus sign is in no digest, so versions of before the other two are read, too.
    source = f"{version.image}+{_quoted(version.commit, '')}+{_quoted(version.by, '')}".rstrip("+")
    return f"{version.time.astimezone(UTC):{_TIME}} {source}"


def _one_line(message: str) -> str:
    """Return a message without what no tag keeps.

    Stack and tag must have the same, or the next deploy would find a difference.
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in message)
    return " ".join(plain.split())


def _cut(text: str, room: int, safe: str = _SAFE) -> str:
    """Return as much of a text as a tag keeps in so many characters."""
    while len(quoted := _quoted(text, safe)) > room:
        text = text[: len(text) - max(1, (len(quoted) - room) // len(_quoted("😀")))]
    return text


def _quoted(text: str, safe: str = _SAFE) -> str:
    # Tags allow few characters, and the percent sign is not one of them.
    return quote(text, safe=safe).replace("~", "%7E").replace("%", "=")


def _unquoted(text: str) -> str:
    return unquote(text.replace("=", "%"))


def _decode(number: int, value: str) -> Version | None:
    time, _, rest = value.partition(" ")
    source, _, message = rest.partition(" ")
    image, commit, by = (*source.split("+"), "", "")[:3]
    try:
        when = datetime.strptime(time, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None  # not one of ours
    return Version(number, image, when, *map(_unquoted, (message, commit, by)))

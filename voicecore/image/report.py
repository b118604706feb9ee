"""What is told of a finished image: for people as lines, for programs as a document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from voicecore.console.output import Line, Span, megabytes
from voicecore.image.docker.smoke_test import Checked
from voicecore.image.model import Base, Image

PACKAGES_SHOWN = 10


@dataclass(frozen=True)
class Built:
    """An image and how it came about."""

    name: str
    """Of the project."""
    tag: str
    builder: str
    """"buildx", "direct", "codebuild", or "" when it was in the registry already."""
    seconds: float
    base: Base
    base_days: int | None
    """The base's age."""
    image: Image | None
    """None where it stayed in AWS or in its registry, unseen."""
    reference: str
    """Where it is: `repository:tag`, or a folder for one that was built without Docker."""
    pushed: bool
    digest: str
    """Of its manifest in the registry it was pushed to; else of the one it would have."""
    checked: Checked | None


def lines(built: Built) -> list[Line]:
    """The sizes, and what was found when the image ran."""
    rows: list[Line] = []
    if built.image:
        rows += _layers(built.image)
        rows += _packages(built.image)
    if built.checked:
        rows += [[], *_check(built.checked)]
    return rows


@dataclass(frozen=True)
class _Row:
    title: str
    size: int
    unpacked: int


def _layers(image: Image) -> list[Line]:
    """A row for each layer, those of the base as one; what nobody knows is left out."""
    stands_on = [layer for layer in image.layers if layer.title == "base"]
    own = [layer for layer in image.layers if layer.title != "base"]
    base = _Row("base", sum(x.size for x in stands_on), sum(x.unpacked for x in stands_on))
    rows = [base, *(_Row(layer.title, layer.size, layer.unpacked) for layer in own)]
    total = _Row("in all", image.size, image.unpacked if base.unpacked else 0)
    head = f"  {'layer':<28}{'compressed' if image.size else '':>12}{'unpacked':>12}"
    body = [(row, "bold" if row is total else "") for row in (*rows, total)]
    return [[Span(head, "dim")], *([Span(_row(row), style)] for row, style in body)]


def _row(row: _Row) -> str:
    sizes = (megabytes(size) if size else "" for size in (row.size, row.unpacked))
    return "".join([f"  {row.title[:27]:<28}", *(f"{size:>12}" for size in sizes)]).rstrip()


def _packages(image: Image) -> list[Line]:
    largest = image.packages[:PACKAGES_SHOWN]
    if not largest:
        return []
    rest = sum(package.bytes for package in image.packages[PACKAGES_SHOWN:])
    rows: list[Line] = [[], [Span("  largest packages", "dim")]]
    for package in largest:
        title = f"{package.name} {package.version}"[:38]
        rows.append([Span(f"  {title:<39} {megabytes(package.bytes):>12}")])
    others = len(image.packages) - len(largest)
    if others:
        rows.append([Span(f"  {f'{others} others':<39} {megabytes(rest):>12}", "dim")])
    return rows


def _check(checked: Checked) -> list[Line]:
    how = f", emulated on {checked.machine}" if checked.emulated else ""
    return [
        [
            Span("✓ ", "green"),
            Span(f"answered /ping after {checked.ping_seconds:.1f} s"),
            Span(f" of AgentCore's {checked.limit_seconds:g} s{how}", "dim"),
        ],
        [
            Span("✓ ", "green"),
            Span(f"pipeline warm after {checked.ready_seconds:.1f} s, {checked.peak_mb:.0f} MB"),
        ],
    ]


def document(built: Built) -> dict[str, Any]:
    """The same as JSON; sizes in bytes, times in seconds."""
    image = built.image
    return {
        "project": built.name,
        "tag": built.tag,
        "reference": built.reference,
        "digest": built.digest,
        "builder": built.builder or None,
        "already_there": not built.builder,
        "pushed": built.pushed,
        "seconds": round(built.seconds, 2),
        "platform": "linux/arm64",
        "compressed_bytes": image.size if image else None,
        "unpacked_bytes": image.unpacked if image else None,
        "layers": [asdict(layer) for layer in image.layers] if image else [],
        "packages": [asdict(package) for package in image.packages] if image else [],
        "base": {
            "name": built.base.name,
            "digest": built.base.digest,
            "created": built.base.created,
            "days": built.base_days,
        },
        "check": asdict(built.checked) if built.checked else None,
    }

"""Owns the report of a build: lines for people, a JSON document for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from voicecore.console.output import Line, Span, megabytes
from voicecore.image.docker.smoke_test import SmokeTestResult
from voicecore.image.model import BaseImage, BuiltImage

PACKAGES_SHOWN = 10


@dataclass(frozen=True)
class BuildReport:
    """An image, and how it was built."""

    name: str
    """Name of the project."""
    tag: str
    builder: str
    """"buildx", "direct", "codebuild", or "" when the image existed already."""
    seconds: float
    base: BaseImage
    base_days: int | None
    """Age of the base in days; None when unknown."""
    image: BuiltImage | None
    """The image; None if the registry had it already."""
    location: str
    """`repository:tag`, or the folder of an image built without Docker."""
    pushed: bool
    digest: str
    """Digest of the manifest in the registry; empty if the image was not pushed."""
    smoke_test: SmokeTestResult | None


def lines(report: BuildReport) -> list[Line]:
    """Return the sizes and the results of the smoke test."""
    rows: list[Line] = []
    if report.image:
        rows += _layers(report.image)
        rows += _packages(report.image)
    if report.smoke_test:
        rows += [[], *_smoke_test(report.smoke_test)]
    return rows


@dataclass(frozen=True)
class _Row:
    title: str
    size: int
    unpacked: int


def _layers(image: BuiltImage) -> list[Line]:
    """Return one row for the base and one for each other layer; unknown sizes are blank."""
    base_layers = [layer for layer in image.layers if layer.title == "base"]
    own = [layer for layer in image.layers if layer.title != "base"]
    base = _Row("base", sum(x.size for x in base_layers), sum(x.unpacked for x in base_layers))
    rows = [base, *(_Row(layer.title, layer.size, layer.unpacked) for layer in own)]
    total = _Row("total", image.size, image.unpacked if base.unpacked else 0)
    head = f"  {'layer':<28}{'compressed' if image.size else '':>12}{'unpacked':>12}"
    body = [(row, "bold" if row is total else "") for row in (*rows, total)]
    return [[Span(head, "dim")], *([Span(_row(row), style)] for row, style in body)]


def _row(row: _Row) -> str:
    sizes = (megabytes(size) if size else "" for size in (row.size, row.unpacked))
    return "".join([f"  {row.title[:27]:<28}", *(f"{size:>12}" for size in sizes)]).rstrip()


def _packages(image: BuiltImage) -> list[Line]:
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


def _smoke_test(result: SmokeTestResult) -> list[Line]:
    how = f", emulated on {result.machine}" if result.emulated else ""
    rows: list[Line] = [
        [
            Span("✓ ", "green"),
            Span(f"answered /ping after {result.ping_seconds:.1f} s"),
            Span(f" of AgentCore's {result.limit_seconds:g} s{how}", "dim"),
        ]
    ]
    if result.ready_seconds is not None:
        warm = f"pipeline warm after {result.ready_seconds:.1f} s, {result.peak_mb:.0f} MB"
        rows.append([Span("✓ ", "green"), Span(warm)])
    return rows + [[Span("! ", "yellow"), Span(warning)] for warning in result.warnings]


def document(report: BuildReport) -> dict[str, Any]:
    """Return the report as a JSON document, with sizes in bytes and times in seconds."""
    image = report.image
    return {
        "project": report.name,
        "tag": report.tag,
        "reference": report.location,
        "digest": report.digest,
        "builder": report.builder or None,
        "already_there": not report.builder,
        "pushed": report.pushed,
        "seconds": round(report.seconds, 2),
        "platform": "linux/arm64",
        "compressed_bytes": image.size if image else None,
        "unpacked_bytes": image.unpacked if image else None,
        "layers": [asdict(layer) for layer in image.layers] if image else [],
        "packages": [asdict(package) for package in image.packages] if image else [],
        "base": {
            "name": report.base.name,
            "digest": report.base.digest,
            "created": report.base.created,
            "days": report.base_days,
        },
        "check": asdict(report.smoke_test) if report.smoke_test else None,
    }

"""Owns the moving pictures of the docs: a terminal as an animated SVG, a page as an animated WebP.

Both are images that a README can show, without a script or a player. There is no kept library for
the SVG: termtosvg is archived, and svg-term needs Node.js and has had no release since 2018.
"""

from __future__ import annotations

import os
import re
import threading
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar
from xml.sax.saxutils import escape

import av
from playwright.sync_api import Page
from rich.console import Console
from rich.text import Text

from tests.standins.terminal import Terminal

SHORTEST_SECONDS = 0.1
"""Time between two frames: a typed letter is seen."""
PAUSE_SECONDS = 1.5
"""Longest time without a change; a longer one is cut, as asciinema's --idle-time-limit does."""
LAST_SECONDS = 4.0
"""Time to read the last frame before the film begins again."""

# Geometry of rich's SVG export, which draws the rows: 20 px text, 12.2 px a column.
COLUMN, LINE, TOP, SIDE = 12.2, 24.4, 42, 10
BACKGROUND, TITLE = "#292929", "#c5c8c6"

Picture = TypeVar("Picture", str, bytes)


@dataclass(frozen=True)
class Frame(Generic[Picture]):
    """What was seen, and for how long in seconds."""

    picture: Picture
    seconds: float


@contextmanager
def recorded_terminal(
    terminal: Terminal, path: Path, title: str, columns: int, rows: int
) -> Iterator[None]:
    """Write the screens that the terminal shows while the block runs as an animated SVG."""
    seen: list[tuple[float, str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(SHORTEST_SECONDS):
            seen.append((time.monotonic(), terminal.screen("-e")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
    path.write_text(animated_svg(frames(seen), title, columns, rows), encoding="utf-8")


@contextmanager
def recorded_page(page: Page, path: Path) -> Iterator[None]:
    """Write what the page shows while the block runs as an animated WebP."""
    seen: list[tuple[float, bytes]] = []
    devtools = page.context.new_cdp_session(page)

    def keep(event: dict[str, Any]) -> None:
        devtools.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        seen.append((event["metadata"]["timestamp"], b64decode(event["data"])))

    devtools.on("Page.screencastFrame", keep)
    devtools.send("Page.startScreencast", {"format": "png"})
    yield
    devtools.remove_listener("Page.screencastFrame", keep)
    devtools.send("Page.stopScreencast")
    devtools.detach()
    path.write_bytes(animated_webp(frames(seen)))


def frames(seen: Sequence[tuple[float, Picture]]) -> list[Frame[Picture]]:
    """Turn pictures with the times at which they were taken into frames that differ.

    Pictures that follow too fast are left out, and pauses are cut.
    """
    changes: list[tuple[float, Picture]] = []
    for at, picture in seen:
        if changes and picture == changes[-1][1]:
            continue
        if changes and at - changes[-1][0] < SHORTEST_SECONDS:
            changes[-1] = (changes[-1][0], picture)
        else:
            changes.append((at, picture))
    shown = [
        Frame(picture, min(until - at, PAUSE_SECONDS))
        for (at, picture), (until, _) in pairwise(changes)
    ]
    return [*shown, Frame(changes[-1][1], LAST_SECONDS)]


def animated_svg(film: Sequence[Frame[str]], title: str, columns: int, rows: int) -> str:
    """Draw screens with ANSI colors in a window; each different row is in the file once.

    The screens stand side by side, and CSS moves the strip. Readers who want less motion see the
    last screen.
    """
    screens = [frame.picture.splitlines() for frame in film]
    index = {row: number for number, row in enumerate(dict.fromkeys(chain(*screens)))}
    styles, drawn = _drawn(list(index), columns)
    width, height = round(columns * COLUMN), round(rows * LINE + 6)
    strip = "\n".join(
        f'<g transform="translate({number * width})">{_screen(screen, index)}</g>'
        for number, screen in enumerate(screens)
    )
    last = f"translateX({-(len(screens) - 1) * width}px)"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" \
viewBox="0 0 {width + 2 * SIDE} {height + TOP + SIDE}">
<title>{escape(title)}</title>
<style>
text {{ font: 20px monospace; fill: {TITLE}; white-space: pre }}
{styles}
@keyframes film {{ {_key_frames(film, width)} }}
.film {{ animation: film {sum(f.seconds for f in film):.2f}s step-end infinite }}
@media (prefers-reduced-motion) {{ .film {{ animation: none; transform: {last} }} }}
</style>
<defs>
{drawn}
</defs>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
<circle cx="20" cy="20" r="6" fill="#ff5f57"/>
<circle cx="40" cy="20" r="6" fill="#febc2e"/>
<circle cx="60" cy="20" r="6" fill="#28c840"/>
<text x="50%" y="27" text-anchor="middle">{escape(title)}</text>
<svg x="{SIDE}" y="{TOP}" width="{width}" height="{height}"><g class="film">
{strip}
</g></svg>
</svg>
"""


def _key_frames(film: Sequence[Frame[str]], width: int) -> str:
    whole, passed, keys = sum(frame.seconds for frame in film), 0.0, []
    for number, frame in enumerate(film):
        keys.append(f"{100 * passed / whole:.3f}% {{ transform: translateX({-number * width}px) }}")
        passed += frame.seconds
    return " ".join(keys)


def _screen(screen: list[str], index: dict[str, int]) -> str:
    """Place the drawn rows; each was drawn at the height of its number."""
    return "".join(
        f'<use href="#r{index[row]}" y="{(line - index[row]) * LINE:.1f}"/>'
        for line, row in enumerate(screen)
        if row
    )


def _drawn(rows: list[str], columns: int) -> tuple[str, str]:
    """Let rich draw the rows under one another; return its CSS and a group for each row."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere)
        for row in rows:
            console.print(Text.from_ansi(row), no_wrap=True, crop=True)
        svg = console.export_svg(code_format="{styles}\0{backgrounds}\0{matrix}", unique_id="t")
    styles, backgrounds, matrix = svg.split("\0")
    groups: list[list[str]] = [[] for _ in rows]
    # rich draws the end of a line too.
    for element in re.findall(r"<rect[^>]*/>|<text[^>]*>[^\n]+</text>", backgrounds + matrix):
        y = float(re.findall(r' y="([\d.]+)"', element)[0])
        row = round((y - 1.5) / LINE) if element.startswith("<rect") else round((y - 20) / LINE)
        groups[row].append(re.sub(r' clip-path="[^"]*"', "", element))
    return styles, "\n".join(
        f'<g id="r{number}">{"".join(group)}</g>' for number, group in enumerate(groups)
    )


def animated_webp(film: Sequence[Frame[bytes]]) -> bytes:
    """Encode PNG pictures of one size; it runs again and again."""
    target = BytesIO()
    with av.open(target, "w", format="webp", options={"loop": "0"}) as webp:
        stream: Any = None
        passed = 0.0
        # libwebp shows the last picture for an average time, however long it should be seen.
        for frame in [*film, Frame(film[-1].picture, 0)]:
            with av.open(BytesIO(frame.picture), "r") as png:
                [picture] = png.decode(video=0)
            if stream is None:
                stream = webp.add_stream("libwebp_anim", rate=1000, options={"lossless": "1"})
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt, stream.time_base = "bgra", Fraction(1, 1000)
            picture = picture.reformat(format="bgra")
            picture.pts, picture.time_base = round(passed * 1000), Fraction(1, 1000)
            webp.mux(stream.encode(picture))
            passed += frame.seconds
        webp.mux(stream.encode())
    return target.getvalue()

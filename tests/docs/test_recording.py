"""The moving pictures of the docs show what was on the screen, when, and nothing else."""

import re
from io import BytesIO
from xml.etree import ElementTree

import av
import pytest

from docs.recording import LAST_SECONDS, PAUSE_SECONDS, Frame, animated_svg, animated_webp, frames

SVG = "{http://www.w3.org/2000/svg}"


def test_pictures_last_until_the_next() -> None:
    seen = [(10.0, "$"), (10.1, "$"), (10.5, "$ v"), (10.9, "$ vo")]
    assert [(f.picture, pytest.approx(f.seconds)) for f in frames(seen)] == [
        ("$", 0.5),
        ("$ v", 0.4),
        ("$ vo", LAST_SECONDS),
    ]


def test_pauses_are_cut() -> None:
    assert frames([(0.0, "$"), (60.0, "$ v")])[0].seconds == PAUSE_SECONDS


def test_of_pictures_that_follow_too_fast_the_last_remains() -> None:
    seen = [(0.0, b"a"), (0.5, b"b"), (0.55, b"c"), (1.0, b"d")]
    assert [frame.picture for frame in frames(seen)] == [b"a", b"c", b"d"]


def test_rows_that_stay_are_drawn_once_and_shown_in_each_screen() -> None:
    film = [Frame("$ \x1b[1mls\x1b[0m\n", 1.0), Frame("$ \x1b[1mls\x1b[0m\na & b\n", 3.0)]
    svg = ElementTree.fromstring(animated_svg(film, "A <film>", 20, 5))
    groups = svg.findall(f"{SVG}defs/{SVG}g")
    assert ["".join(group.itertext()).replace("\xa0", " ") for group in groups] == ["$ ls", "a & b"]
    strip = svg.find(f"{SVG}svg/{SVG}g")
    assert strip is not None
    shown = [[use.get("href") for use in screen] for screen in strip]
    assert shown == [["#r0"], ["#r0", "#r1"]]
    css = svg.findtext(f"{SVG}style") or ""
    assert "25.000% { transform: translateX(-244px) }" in css
    assert "animation: film 4.00s" in css
    assert "prefers-reduced-motion" in css
    assert "font-weight: bold" in css


def test_a_row_that_moves_up_is_drawn_at_its_new_height() -> None:
    film = [Frame("a\nb", 1.0), Frame("b", 1.0)]
    svg = ElementTree.fromstring(animated_svg(film, "scroll", 20, 5))
    ys = [use.get("y") for use in svg.iter(f"{SVG}use")]
    assert ys == ["0.0", "0.0", "-24.4"]


def png(gray: int) -> bytes:
    target = BytesIO()
    frame = av.VideoFrame(8, 8, "gray")
    frame.planes[0].update(bytes([gray]) * frame.planes[0].buffer_size)
    with av.open(target, "w", format="image2pipe") as file:
        stream = file.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 8, 8, "gray"
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return target.getvalue()


def test_webp_has_each_frame_for_its_time_and_runs_for_ever() -> None:
    webp = animated_webp([Frame(png(0), 0.5), Frame(png(255), 2.0)])
    chunks = [webp[at.start() + 8 :] for at in re.finditer(b"ANMF", webp)]
    milliseconds = [int.from_bytes(chunk[12:15], "little") for chunk in chunks]
    assert milliseconds[0] == 500
    assert milliseconds[1] >= 2000
    animation = webp[webp.index(b"ANIM") + 8 :]
    assert int.from_bytes(animation[4:6], "little") == 0  # 0: without end

"""Stumbles on a screen are found, and a sound screen has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.stumbles import stumbles_on


@pytest.mark.parametrize(
    ("rows", "lines", "expected"),
    [
        ("Traceback (most recent call last):", "", "traceback"),
        ("the agent spea\nks", "the agent speaks", "broken by the terminal: the agent speaks"),
        ("the agent spok", "", "cut at the edge: the agent spok"),
        ("Try:  voicecor\ne lgos", "Try:  voicecore lgos", "dead hint"),
        ("Talk:\n  cd gone && v\noicecore talk", "Talk:\n  cd gone && voicecore talk", "no such"),
        ("Talk:  voicecor\ne talk", "Talk:  voicecore talk", "broken by the terminal"),
        ("See `voicecore\n  turns`.", "See `voicecore turns`.", "dead hint"),
    ],
)
def test_stumble_is_found(tmp_path: Path, rows: str, lines: str, expected: str) -> None:
    found = stumbles_on(rows, lines or rows, 14, tmp_path)
    assert any(each.startswith(expected) for each in found)


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ("the agent\nspeaks", ""),
        ("the agent spo…", ""),
        ("the agent end.", ""),
        ("http://127.0.0\n.1:7860/#invite.1fcf553b", "http://127.0.0.1:7860/#invite.1fcf553b"),
        ("Talk:\n  cd mine && v\noicecore talk", "Talk:\n  cd mine && voicecore talk"),
        ("──────────────", ""),
        ("q ends   0.8 s", ""),
    ],
)
def test_sound_screen_has_none(tmp_path: Path, rows: str, lines: str) -> None:
    (tmp_path / "mine").mkdir()
    assert stumbles_on(rows, lines or rows, 14, tmp_path) == []

"""Output shows text that strangers wrote as text: no control character reaches the terminal."""

import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Voicecore
from tests.random_input import BY_COUNT
from voicecore.console.errors import VoicecoreError
from voicecore.console.output import Output, Span, clean
from voicecore.console.progress import Progress

HOSTILE = "\x1b]0;owned\x07 \x1b[2J \x9b31m \x85 \u202egnp.exe\u2066 \x00\b\x7f \r\u2028 \udcff end"
"""OSC, CSI, C1, bidi controls, NUL, backspace, a carriage return, a surrogate."""


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def unsafe(text: str) -> list[str]:
    """Return the characters of the text that act on a terminal, or cannot be written to one."""
    bidi = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return [
        c
        for c in text
        if c not in "\n\t"
        and (
            unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(c) in bidi
            or c in "\u061c\u200e\u200f"
        )
    ]


def tasks(output: Output) -> None:
    with output.tasks() as show:
        show(Progress(HOSTILE, note=HOSTILE, finished=True))


def step(output: Output) -> None:
    with output.step(HOSTILE):
        pass


def screen(output: Output) -> None:
    with output.screen(lambda width, height: [[Span(HOSTILE)]]):
        pass


SHOWN: list[Callable[[Output], None]] = [
    lambda output: output.say(HOSTILE),
    lambda output: output.note(HOSTILE),
    lambda output: output.warn(HOSTILE),
    lambda output: output.data(HOSTILE),
    lambda output: output.record([Span(HOSTILE, "bold")]),
    lambda output: output.lines([[Span(HOSTILE, "bold")]]),
    lambda output: output.error(VoicecoreError(HOSTILE, HOSTILE)),
    lambda output: output.json({HOSTILE: HOSTILE}),
    lambda output: output.event({"event": HOSTILE}),
    tasks,
    step,
]


@pytest.mark.parametrize("show", SHOWN)
def test_shows_control_characters_as_text(show: Callable[[Output], None]) -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    show(Output(stdout, stderr))
    shown = stdout.getvalue() + stderr.getvalue()
    assert "owned" in shown
    assert "end" in shown
    assert unsafe(shown) == []


@pytest.mark.parametrize("show", [*SHOWN, screen])
def test_terminal_gets_only_the_sequences_of_its_styles(
    show: Callable[[Output], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stdout, stderr = Tty(), Tty()
    show(Output(stdout, stderr))
    shown = stdout.getvalue() + stderr.getvalue()
    for forbidden in ("\x1b]", "\x1b[2J", "\x07", "\b", "\x9b", "\u202e", "\x00", "\udcff"):
        assert forbidden not in shown


def test_keeps_the_text_of_every_script_and_emoji() -> None:
    text = "a\tb\nשלום مرحبا नमस्ते 你好 👩‍👩‍👧 é — …"
    assert clean(text) == text
    assert clean("one\r\ntwo") == "one\r\ntwo"


def test_shows_text_as_it_is_written() -> None:
    stderr = io.StringIO()
    Output(io.StringIO(), stderr).say("[red]:key:[/]")
    assert stderr.getvalue() == "[red]:key:[/]\n"


def test_prose_of_the_result_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stdout = Tty()
    Output(stdout, io.StringIO()).record([Span("f934a962  agent  We are open from noon to four.")])
    rows = [row.rstrip() for row in stdout.getvalue().splitlines()]
    assert rows == ["f934a962  agent  We", "are open from noon", "to four."]


def test_words_of_the_result_are_not_broken_on_a_terminal() -> None:
    stdout = Tty()
    Output(stdout, io.StringIO()).record([Span("a" * 150 + " "), Span("b" * 150)])
    assert stdout.getvalue() == "a" * 150 + "\n" + "b" * 150 + "\n"


def test_title_of_a_step_may_hold_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Tty()
    with Output(io.StringIO(), stderr).step("Pulling [/image]"):
        pass
    assert "✓ Pulling [/image]" in stderr.getvalue().replace("\x1b[32m✓ \x1b[0m", "✓ ")


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


@BY_COUNT
@given(_VALUES)
def test_json_is_valid_whatever_it_holds(document: object) -> None:
    stdout = io.StringIO()
    output = Output(stdout, io.StringIO())
    output.event({"value": document})
    line = stdout.getvalue()
    assert "\n" not in line[:-1]
    assert unsafe(line) == []
    line.encode()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(line, parse_constant=refuse)


@BY_COUNT
@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_json_keeps_every_character(text: str) -> None:
    stdout = io.StringIO()
    Output(stdout, io.StringIO()).event({"text": text})
    assert json.loads(stdout.getvalue()) == {"text": text}


def test_unknown_keys_of_the_project_file_are_shown_as_text(
    voicecore: Voicecore, tmp_path: Path
) -> None:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    file = tmp_path / "line" / "voicecore.toml"
    file.write_text(file.read_text() + '\n"\\u001b]0;owned\\u0007\\u202e" = 1\n')
    result = voicecore("status", cwd=tmp_path / "line")
    assert "owned" in result.stderr
    assert unsafe(result.stderr) == []

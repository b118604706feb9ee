"""Choices on a terminal: which keys give which answer, and what stays on the screen."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from voicecore.catalog.pipelines import GENERATED
from voicecore.catalog.pipelines.record import Pipeline
from voicecore.console.choices import Choice, choose, choose_several

DOWN, ENTER, SPACE = "\x1b[B", "\r", " "
FRUITS = [Choice("a", "Apple", "Apple, the red one"), Choice("b", "Pear"), Choice("c", "Quince")]


def asked(ask: Callable[[], object], keys: str) -> tuple[object, str]:
    """Return the answer to a question, and the line that it leaves on the terminal."""
    answer, rows = drawn(ask, keys)
    return answer, rows[-1]


def drawn(ask: Callable[[], object], keys: str, columns: int = 80) -> tuple[object, list[str]]:
    """Return the answer to a question, and the rows that were drawn."""
    screen = io.StringIO()
    output = Vt100_Output(screen, lambda: Size(rows=24, columns=columns), enable_cpr=False)
    with create_pipe_input() as pipe, create_app_session(pipe, output):
        pipe.send_text(keys)
        answer = ask()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    return answer, text.strip().splitlines()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (ENTER, ["a"]),
        (DOWN + ENTER, ["b"]),
        (SPACE + DOWN + ENTER, ["a"]),
        (SPACE + DOWN + SPACE + ENTER, ["a", "b"]),
        (DOWN + SPACE + DOWN + SPACE + SPACE + ENTER, ["b"]),
        ("a" + ENTER, ["a", "b", "c"]),
        (DOWN + SPACE + SPACE + DOWN + ENTER, ["c"]),
    ],
)
def test_enter_takes_what_has_a_box_checked_or_else_the_entry_at_the_cursor(
    keys: str, expected: list[str]
) -> None:
    answer, line = asked(lambda: choose_several("Which?", FRUITS), keys)
    assert answer == expected
    titles = ", ".join(fruit.title for fruit in FRUITS if fruit.value in expected)
    assert line.endswith(f"? Which? {titles}")


def test_answer_on_the_screen_is_the_short_name() -> None:
    answer, line = asked(lambda: choose("Which?", FRUITS, "a"), ENTER)
    assert answer == "a"
    assert line.endswith("? Which? Apple")


def test_entry_that_is_wider_than_the_terminal_ends_with_an_ellipsis() -> None:
    wide = Choice(
        "w", "Wide", "an entry of many words, as of a pipeline", "text of this entry " * 6
    )
    _, rows = drawn(lambda: choose_several("Which?", [wide, *FRUITS]), ENTER, columns=40)
    text = "\n".join(rows)
    assert "[ ] an entry of many words, as of a…" in text
    assert "Description: text of this entry text" in text and "of this entry text of t…" in text


@pytest.mark.parametrize("pipeline", GENERATED.values(), ids=GENERATED)
def test_pipeline_says_which_python_it_needs_beyond_voicecores_own(pipeline: Pipeline) -> None:
    version = pipeline.python.removeprefix(">=")
    assert (f"Python {version} or newer" in pipeline.needs) is (version != "3.11")

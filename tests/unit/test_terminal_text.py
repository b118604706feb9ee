"""Text in a terminal: broken between words, cut with an ellipsis, measured in columns."""

from __future__ import annotations

import io

import pytest
import typer
from typer.core import TyperGroup

from voicecore.cli.app import app
from voicecore.console.output import Output, Span, columns, cropped, dollars, wrapped


class Tty(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("one two three", 9, ["one two", "three"]),
        ("one\n\ntwo", 9, ["one", "two"]),
        ("你好今天很好", 8, ["你好今天", "很好"]),
        ("https://example.com/a", 10, ["https://ex", "ample.com/", "a"]),
        ("", 9, []),
    ],
)
def test_text_is_wrapped_between_words_by_columns(text: str, width: int, rows: list[str]) -> None:
    assert wrapped(text, width) == rows
    assert all(columns(row) <= width for row in rows)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("short", 5, "short"), ("longer", 5, "long…"), ("你好今天", 5, "你好…"), ("a", 0, "")],
)
def test_text_that_is_cut_ends_with_an_ellipsis(text: str, width: int, expected: str) -> None:
    assert cropped(text, width) == expected


@pytest.mark.parametrize(
    ("amount", "signed", "expected"),
    [(36.5, False, "$36.50"), (36.5, True, "+$36.50"), (-3.651, True, "-$3.65"),
     (12345, False, "$12,345.00")],
)  # fmt: skip
def test_money_begins_with_its_sign_and_currency(
    amount: float, signed: bool, expected: str
) -> None:
    assert dollars(amount, signed) == expected


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        (
            "Platform v2 takes a snapshot of each version of the runtime: minutes, in which "
            "callers reach the version of before.",
            True,
        ),
        (f"It needs {'a word ' * 8}or the path /home/ada/{'folder/' * 12}bot.py.", True),
        (f"  /home/ada/{'folder/' * 12}bot.py", False),
        (f"Run this in the folder of your project:  voicecore deploy {'--server ' * 6}", True),
        (f"  voicecore init support-line {'--transport webrtc ' * 4}", False),
        (f"Talk in the browser: http://127.0.0.1:7860/#invite.{'c29tZXNpZ25hdH' * 4}", True),
        (f"  logs  /aws/bedrock-agentcore/runtimes/{'support' * 5}  kept for 30 days", True),
        (f"Speak: {'你好 ' * 30}", True),
        (f"  + NAT gateway{' ' * 60}+$32.85 a month", True),
    ],
)
def test_lines_are_broken_between_words_only(line: str, broken: bool) -> None:
    terminal = Tty()
    Output(io.StringIO(), terminal).lines([[Span(line)]])
    rows = terminal.getvalue().splitlines()
    assert (len(rows) > 1) is broken
    assert [word for row in rows for word in row.split()] == line.split()


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (
            "Begin with + and the country code, such as +1 in the United States:  voicecore call "
            "+14155550199",
            ["Begin with + and the country code, such as +1 in the United States:",
             "voicecore call +14155550199"],
        ),
        (
            "✗ '4155550199' has no country code, so another country's phone could ring, which "
            "costs.",
            ["✗ '4155550199' has no country code, so another country's phone could ring, which",
             "  costs."],
        ),
        (
            f"  logs      /aws/bedrock-agentcore/runtimes/{'support' * 5}  kept for 30 days",
            [f"  logs      /aws/bedrock-agentcore/runtimes/{'support' * 5}", "  kept for 30 days"],
        ),
        (f"Talk: http://127.0.0.1/#{'a' * 80}", ["Talk:", f"http://127.0.0.1/#{'a' * 80}"]),
    ],
)  # fmt: skip
def test_words_commands_and_urls_stay_whole(line: str, rows: list[str]) -> None:
    terminal = Tty()
    Output(io.StringIO(), terminal).lines([[Span(line)]])
    assert terminal.getvalue().splitlines() == rows


def test_help_of_every_command_fits_80_columns() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True, terminal_width=80)
        long = [line for line in command.get_help(context).splitlines() if len(line) > 80]
        assert long == [], name


def test_summaries_of_commands_are_whole_in_80_columns() -> None:
    command = typer.main.get_command(app)
    text = command.get_help(
        command.make_context("voicecore", ["--version"], resilient_parsing=True)
    )
    usage, _, rest = text.partition("Commands:")
    assert usage and rest and "..." not in rest

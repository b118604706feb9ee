"""Owns the questions whose answers are chosen from a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicecore.console.confirm import answer_to
from voicecore.console.output import cropped, wrapped

if TYPE_CHECKING:
    import questionary
    from prompt_toolkit.key_binding import KeyPressEvent

_CURSOR, _BOX = " » ", "[ ] "
_DESCRIPTION = " " * len("  Description: ")
_DESCRIPTION_ROWS = 2
"""Rows that questionary has for the description of the entry at the cursor."""


@dataclass(frozen=True)
class Choice:
    """An answer that the user can choose."""

    value: str
    title: str
    """Short name, which stays on the screen as the answer."""
    label: str = ""
    """Its line in the list, if that says more than the title."""
    description: str | None = None
    """Text below the list while the cursor is on it."""


def choose(question: str, choices: Sequence[Choice], default: str | None = None) -> str:
    """Ask for one of the choices."""
    import questionary

    listed = [_listed(choice, _CURSOR) for choice in choices]
    value = _answer(questionary.select(question, choices=listed, default=default))
    _echo(question, choices, [value])
    return value


def choose_several(question: str, choices: Sequence[Choice]) -> list[str]:
    """Ask for one or more of the choices; Enter alone takes the one under the cursor."""
    import questionary

    asked = questionary.checkbox(
        question,
        choices=[_listed(choice, _CURSOR + _BOX) for choice in choices],
        instruction="(space selects several)",
    )
    _draw_boxes(asked)
    chosen = _answer(asked)
    values = [choice.value for choice in choices if choice.value in chosen]
    _echo(question, choices, values)
    return values


def _draw_boxes(asked: questionary.Question) -> None:
    """Draw boxes instead of questionary's circles, and let Enter take the entry at the cursor."""
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings
    from questionary.prompts.common import InquirerControl

    app = asked.application
    [control] = [c for c in app.layout.find_all_controls() if isinstance(c, InquirerControl)]
    labels = [str(each.title) for each in control.choices]
    control.use_indicator = False

    def draw(_: object) -> None:
        for each, label in zip(control.choices, labels, strict=True):
            each.title = f"[{'x' if each.value in control.selected_options else ' '}] {label}"

    keys = KeyBindings()

    @keys.add("enter", eager=True)
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result=control.selected_options or [control.get_pointed_at().value])

    app.before_render += draw
    app.key_bindings = merge_key_bindings([app.key_bindings or KeyBindings(), keys])


def _listed(choice: Choice, mark: str) -> questionary.Choice:
    """Return the choice as questionary lists it, behind the mark, in the terminal's width.

    questionary would cut what is wider.
    """
    import questionary
    from prompt_toolkit.application import get_app_session

    width = get_app_session().output.get_size().columns - 1
    rows = wrapped(choice.description or "", width - len(_DESCRIPTION))
    if rows[_DESCRIPTION_ROWS:]:
        rows = [rows[0], cropped(" ".join(rows[1:]), width - len(_DESCRIPTION))]
    return questionary.Choice(
        cropped(choice.label or choice.title, width - len(mark)),
        value=choice.value,
        description=f"\n{_DESCRIPTION}".join(rows) or None,
    )


def _answer(asked: questionary.Question) -> Any:
    asked.application.erase_when_done = True  # questionary would repeat the whole line
    return answer_to(asked)


def _echo(question: str, choices: Sequence[Choice], values: Sequence[str]) -> None:
    """Leave the question and its answer on the screen."""
    from prompt_toolkit import print_formatted_text
    from prompt_toolkit.formatted_text import FormattedText
    from questionary.constants import DEFAULT_STYLE

    answer = ", ".join(choice.title for choice in choices if choice.value in values)
    line = [("class:qmark", "?"), ("class:question", f" {question} "), ("class:answer", answer)]
    print_formatted_text(FormattedText(line), style=DEFAULT_STYLE)

"""Owns the questions whose answers are chosen from a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicecore.console.confirm import answer_to

if TYPE_CHECKING:
    import questionary
    from prompt_toolkit.key_binding import KeyPressEvent


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

    listed = [_listed(choice) for choice in choices]
    value = _answer(questionary.select(question, choices=listed, default=default))
    _echo(question, choices, [value])
    return value


def choose_several(question: str, choices: Sequence[Choice]) -> list[str]:
    """Ask for one or more of the choices; Enter alone takes the one under the cursor."""
    import questionary

    asked = questionary.checkbox(
        question,
        choices=[_listed(choice) for choice in choices],
        instruction="(space selects several, Enter confirms)",
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


def _listed(choice: Choice) -> questionary.Choice:
    import questionary

    return questionary.Choice(
        choice.label or choice.title, value=choice.value, description=choice.description
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

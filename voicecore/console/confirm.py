"""Owns asking the user on the terminal, and the one confirmation that commands ask for."""

from __future__ import annotations

from typing import Any, Protocol

from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import clean


class ConfirmationOptions(Protocol):
    """Options of a command that asks before it acts."""

    @property
    def yes(self) -> bool:
        """True when the user has confirmed already."""
        ...

    @property
    def json(self) -> bool:
        """True when a program reads the output, so that nothing can be asked."""
        ...


class NotConfirmed(VoicecoreError):
    """The user declined, or could not be asked."""


def confirm(
    context: Context, options: ConfirmationOptions, question: str, outcome: str, command: str
) -> None:
    """Ask the question, unless --yes answers it. Raises NotConfirmed unless the answer is yes.

    `outcome` tells what a refusal means, such as "nothing was changed"; `command` is the command
    to type to be asked again.
    """
    if options.yes:
        return
    if options.json or not context.interactive:
        raise NotConfirmed(
            f"Not confirmed; {outcome}.", f"Confirm with --yes:  {command} --yes", ExitCode.USAGE
        )
    import questionary

    if not answer_to(questionary.confirm(clean(question), default=False)):
        raise NotConfirmed(f"Not confirmed; {outcome}.", f"To confirm, run:  {command}")


def answer_to(question: Any) -> Any:
    """Ask a question of questionary's. Raises KeyboardInterrupt at Ctrl-C and Ctrl-D."""
    # unsafe_ask raises KeyboardInterrupt at Ctrl-C, which the command line turns into exit code
    # 130; ask() would print a line of its own and return None.
    try:
        return question.unsafe_ask()
    except EOFError:
        raise KeyboardInterrupt from None

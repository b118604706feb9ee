"""Confirmation: --yes skips it, and nothing is asked without a terminal or with --json."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from voicecore.console.confirm import NotConfirmed, confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import Output
from voicecore.options.destroy import DestroyOptions


def ask(options: DestroyOptions, interactive: bool) -> None:
    output = Output(io.StringIO(), io.StringIO())
    context = Context(cwd=Path(), env={}, output=output, interactive=interactive)
    confirm(context, options, "Remove it?", "nothing was removed", "voicecore destroy")


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("json", [False, True])
def test_yes_skips_the_question(interactive: bool, json: bool) -> None:
    ask(DestroyOptions(yes=True, json=json), interactive)


@pytest.mark.parametrize(("json", "interactive"), [(False, False), (True, False), (True, True)])
def test_refuses_with_the_command_to_type(json: bool, interactive: bool) -> None:
    with pytest.raises(NotConfirmed) as raised:
        ask(DestroyOptions(json=json), interactive)
    assert raised.value.exit_code == ExitCode.USAGE
    assert raised.value.message == "Not confirmed; nothing was removed."
    assert raised.value.hint == "Confirm with --yes:  voicecore destroy --yes"

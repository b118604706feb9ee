"""The options of each command: how they are parsed, and written out to be typed again."""

from __future__ import annotations

import shlex
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
import typer.main

from voicecore.cli.parameters import add_command
from voicecore.console.command_line import (
    Argument,
    CommandOptions,
    Option,
    declared,
    flag_of,
    typed,
)
from voicecore.options.build import BuildOptions
from voicecore.options.call import CallOptions
from voicecore.options.deploy import DeployOptions
from voicecore.options.destroy import DestroyOptions
from voicecore.options.dev import DevOptions
from voicecore.options.invite import InviteOptions
from voicecore.options.logs import LogsOptions
from voicecore.options.project.add import AddOptions
from voicecore.options.project.init import InitOptions
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.options.releases.versions import VersionsOptions
from voicecore.options.sessions.list import SessionsOptions
from voicecore.options.sessions.stop import StopOptions
from voicecore.options.status import StatusOptions
from voicecore.options.talk import TalkOptions
from voicecore.options.turn_check import TurnCheckOptions
from voicecore.options.upgrade_base import UpgradeBaseOptions

COMMANDS = [
    InitOptions, AddOptions, DevOptions, TalkOptions, CallOptions, BuildOptions,
    UpgradeBaseOptions, DeployOptions, InviteOptions, DestroyOptions, LogsOptions, StatusOptions,
    TurnCheckOptions, VersionsOptions, PromoteOptions, RollbackOptions,
    SessionsOptions, StopOptions,
]  # fmt: skip


def parse(options: type[Any], words: list[str]) -> Any:
    """Return the options that the command line gives a command."""
    parsed: list[Any] = []
    app = typer.Typer(add_completion=False)
    add_command(app, "command", options, lambda _, given: parsed.append(given))
    typer.main.get_command(app)(words, standalone_mode=False)
    return parsed[0]


def values(options: CommandOptions) -> dict[str, object]:
    return {field.name: getattr(options, field.name) for field in fields(options)}


def example_of(kind: Any) -> Any:
    """Return a value of a field's type that is not its default."""
    if get_origin(kind) is tuple:
        return (example_of(get_args(kind)[0]), example_of(get_args(kind)[0]))
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    if get_args(kind):  # X | None
        return example_of(get_args(kind)[0])
    return {bool: True, str: "a word", int: 4242, float: 1.5, Path: Path("a/path")}[kind]


@pytest.mark.parametrize("options", COMMANDS, ids=lambda each: each.__name__)
def test_every_option_is_parsed_and_typed_again(options: type[Any]) -> None:
    given = {field.name: example_of(get_args(field.type)[0]) for field in fields(options)}
    words: list[str] = []
    for field in fields(options):
        option, value = declared(field), given[field.name]
        flag = [] if isinstance(option, Argument) else [flag_of(field, option)]
        for each in value if isinstance(value, tuple) else (value,):
            words += flag if each is True else [*flag, str(each)]
    parsed = parse(options, words)
    assert values(parsed) == given
    for_one_run = {
        field.name: field.default
        for field in fields(options)
        if isinstance(option := declared(field), Option) and option.once
    }
    _, _, *again = shlex.split(typed("command", parsed))
    assert values(parse(options, again)) == given | for_one_run


@pytest.mark.parametrize("options", COMMANDS, ids=lambda each: each.__name__)
def test_defaults_are_those_of_the_dataclass(options: type[Any]) -> None:
    required = {f.name: "x" for f in fields(options) if f.default is MISSING}
    parsed = parse(options, list(required.values()))
    assert values(parsed) == values(options(**required))
    assert typed("command", parsed) == shlex.join(["voicecore", "command", *required.values()])


def test_short_forms_are_unique_in_each_command() -> None:
    for options in COMMANDS:
        declarations = [declared(field) for field in fields(options)]
        shorts = [each.short for each in declarations if isinstance(each, Option) and each.short]
        assert len(set(shorts)) == len(shorts), options


def test_list_option_takes_commas() -> None:
    parsed = parse(InitOptions, ["--provider", "vonage, twilio", "--provider", "plivo"])
    assert parsed.providers == ("vonage", "twilio", "plivo")


def test_typed_quotes_and_adds_flags() -> None:
    options = DeployOptions(project=Path("my project"), stage="prod", yes=True)
    command = typed("deploy", options, "--yes")
    assert command == "voicecore deploy --project 'my project' --stage prod --yes"


def test_command_to_repeat_does_no_more_than_what_was_typed() -> None:
    options = DeployOptions(dry_run=True, stage="prod", yes=True)
    assert typed("deploy", options) == "voicecore deploy --stage prod --dry-run"
    assert typed("deploy", options, "--dry-run") == "voicecore deploy --stage prod --dry-run"
    exported = DeployOptions(export="template", format="json")
    assert typed("deploy", exported) == "voicecore deploy --export template --format json"


def test_help_names_choices_of_the_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    add_command(app, "command", AddOptions, lambda _, __: None)
    typer.main.get_command(app)(["--help"], standalone_mode=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "Transport to add: websocket, webrtc, telephony or daily." in text
    assert "Phone provider, for telephony: twilio, telnyx, plivo, exotel or vonage" in text

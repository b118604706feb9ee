"""Owns how a dataclass of options becomes a typer command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from inspect import Parameter, Signature
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer
from typer.core import TyperCommand

from voicecore.console.command_line import Argument, CommandOptions, Option, declared, flag_of
from voicecore.console.errors import VoicecoreError

Options = TypeVar("Options", bound=CommandOptions)


def add_command(
    app: typer.Typer,
    name: str,
    options: type[Options],
    run: Callable[[typer.Context, Options], None],
) -> None:
    """Add a command with one parameter per field of `options`, whose docstring is its help."""

    def callback(ctx: typer.Context, **given: Any) -> None:
        run(ctx, options(**{field.name: _value(field, given) for field in fields(options)}))

    class Command(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            # Not before: to import the catalog for `voicecore --help` would take too long.
            _fill_in_choices(self.params, options)
            super().format_help(ctx, formatter)

    context = Parameter("ctx", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = (_parameter(field) for field in fields(options))
    # typer reads the signature and evaluates the annotations; here there is nothing to evaluate.
    callback.__signature__ = Signature([context, *parameters])  # pyright: ignore[reportFunctionMemberAccess]
    callback.__annotations__ = {}
    app.command(name, cls=Command, help=options.__doc__)(callback)


def _parameter(field: Field[Any]) -> Parameter:
    """Return the keyword of a field, annotated for typer."""
    kind, option = get_args(field.type)[0], declared(field)
    complete = _completer(option)
    if isinstance(option, Argument):
        info = typer.Argument(metavar=option.metavar, help=option.help, autocompletion=complete)
    else:
        info = typer.Option(
            *filter(None, (flag_of(field, option), option.short)),
            metavar=option.metavar,
            help=option.help,
            min=option.min,
            max=option.max,
            autocompletion=complete,
        )
    required = field.default is MISSING
    default = Parameter.empty if required else field.default
    if get_origin(kind) is tuple:  # typer reads a tuple as several words after one flag
        kind, default = list[get_args(kind)[0]], None
    elif isinstance(default, float) and default.is_integer():
        default = int(default)  # which the help shows shorter
    return Parameter(
        field.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _completer(option: Option | Argument) -> Callable[[], list[str]] | None:
    """Return the function that a shell gets the values of an option from, if it has some."""
    values = option.choices or option.completions
    if values is None:
        return None

    def complete() -> list[str]:
        try:
            return list(values())
        except VoicecoreError:  # where there is no project, or no sound system
            return []

    return complete


def _value(field: Field[Any], given: dict[str, Any]) -> Any:
    """Return what was typed for a field, as the field's type."""
    option, value = declared(field), given[field.name]
    if get_origin(get_args(field.type)[0]) is not tuple:
        return value
    words: Sequence[Any] = value or ()
    if isinstance(option, Option) and option.commas:
        words = [word.strip() for each in words for word in each.split(",")]
    return tuple(words)


def _fill_in_choices(parameters: Sequence[Any], options: type[CommandOptions]) -> None:
    """Name the choices in the help of those parameters that have some."""
    declarations = {field.name: declared(field) for field in fields(options)}
    for parameter in parameters:
        option = declarations[parameter.name]
        if option.choices:
            *others, last = option.choices()
            names = f"{', '.join(others)} or {last}" if others else last
            parameter.help = option.help.format(choices=names)

"""Generates the reference of the commands."""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterator
from typing import Any

import typer

from docs.generators.markdown import table
from voicecore.cli.app import app


def commands() -> str:
    """Return every command with its arguments and options."""
    root = typer.main.get_command(app)
    context = root.make_context("voicecore", [], resilient_parsing=True)
    return "\n\n".join(_command(each) for each in _leaves(context))


def _leaves(context: Any) -> Iterator[Any]:
    """Yield the contexts of all commands that are not groups; typer brings a click of its own."""
    if not hasattr(context.command, "list_commands"):
        yield context
        return
    for name in context.command.list_commands(context):
        child = context.command.get_command(context, name)
        yield from _leaves(child.make_context(name, [], context, resilient_parsing=True))


def _command(context: Any) -> str:
    command = context.command
    context.get_help()  # names the choices in the texts of the options
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## {context.command_path}",
        html.escape(text.replace("\b", "").strip(), quote=False),
        f"```text\n{usage}\n```",
        table(("option", "meaning"), (_parameter(each, context) for each in command.params)),
    ]
    if examples:
        parts.append(f"```sh\n{inspect.cleandoc(examples)}\n```")
    return "\n\n".join(parts)


def _parameter(parameter: Any, context: Any) -> tuple[str, str]:
    """Return name and help of an option or argument, as `--help` shows them."""
    name, text = parameter.get_help_record(context)
    return f"`{name.strip()}`", html.escape(" ".join(text.split()), quote=False)

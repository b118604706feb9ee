"""`voicecore adopt`: take over an agent that its owner has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voicecore.adopt import view
from voicecore.adopt.files import IGNORED, Adoption, files_for
from voicecore.adopt.folder import Folder, read_folder
from voicecore.adopt.report import Missing, Report, report_on
from voicecore.catalog import regions
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Span
from voicecore.options.project.adopt import AdoptOptions
from voicecore.project import aws_names, identity
from voicecore.project.dotenv import dotenv_of
from voicecore.project.foreign_code import mark_known
from voicecore.project.invalid_setting import unknown
from voicecore.project.project import FILE, BadProject, load_project
from voicecore.project.schema import invalid_settings
from voicecore.project.settings.programs import SERVER
from voicecore.scaffold import apply, questions
from voicecore.scaffold.render import Files


class AlreadyAdopted(VoicecoreError):
    """The folder has a voicecore.toml."""


class NothingServes(VoicecoreError):
    """The agent has no app that answers AgentCore, and none was asked for."""


class FileTaken(VoicecoreError):
    """A file that was asked for exists, and is the user's."""


@dataclass(frozen=True)
class _Target:
    """The user's folder, and what was found in it."""

    root: Path
    folder: Folder
    report: Report
    id: str
    set_keys: dict[str, str]


def run(context: Context, options: AdoptOptions) -> ExitCode:
    """Report on the folder; write voicecore.toml and what was asked for."""
    add = _asked_for(options)
    target = _read(context, options)
    adoption = _answers(context, options, target, add)
    if not options.json:
        _show(context, target)
    if _asks(context, options) and not options.dry_run:
        adoption = _ask(options, target, adoption)
    report, files = files_for(target.report, target.folder, adoption)
    if options.dry_run:
        files = files if report.command.words else {}
    else:
        _require_served(options, target, report)
        _require_free(target, files)
        apply.apply(target.root, files)
        mark_known(target.root)
        load_project(target.root)  # what was written can be read
    _tell(context, options, target, report, files)
    return ExitCode.OK


def _read(context: Context, options: AdoptOptions) -> _Target:
    root = (context.cwd / (options.folder or "")).resolve()
    if not root.is_dir():
        raise BadProject(
            f"{root} is not a folder.", "Name the agent's folder:  voicecore adopt DIR"
        )
    id = _id_of(options, root)
    folder = read_folder(root)
    again = typed("adopt", replace(options, entry=None))
    report = report_on(folder, options.entry or "", again)
    place = root / report.command.folder
    return _Target(root, folder, report, id, {**context.env, **dotenv_of(place)})


def _id_of(options: AdoptOptions, root: Path) -> str:
    """Return the ID of an adopted project, which it keeps, or a new one. Raises AlreadyAdopted."""
    if not (root / FILE).exists():
        return identity.new_id()
    project = load_project(root) if options.force else None
    if project and project.generated:
        raise AlreadyAdopted(
            f"{root.name} is a project that voicecore generated; nothing was written.",
            f"Run it:  voicecore dev -p {root}",
            ExitCode.BAD_PROJECT,
        )
    if project:
        return project.id or identity.new_id()
    raise AlreadyAdopted(
        f"{root.name} has a {FILE} already; nothing was written.",
        f"Run it:  voicecore dev -p {root}\n"
        f"or see what adopt would write now:  {typed('adopt', options, '--force', '--dry-run')}",
    )


def _asked_for(options: AdoptOptions) -> frozenset[Missing]:
    known = tuple(missing.value for missing in Missing)
    for name in options.add:
        if name not in known:
            wrong = unknown("--add", name, known)
            raise VoicecoreError(f"{wrong.key}: {wrong.message}", None, ExitCode.USAGE)
    return frozenset(map(Missing, options.add))


def _answers(
    context: Context, options: AdoptOptions, target: _Target, add: frozenset[Missing]
) -> Adoption:
    """Return the answers that options and folder give. Raises VoicecoreError for invalid ones."""
    suggested = aws_names.suggestion_for(target.root.name) or questions.DEFAULT_NAME
    found = context.env.get("AWS_REGION") or context.env.get("AWS_DEFAULT_REGION") or ""
    here = found if found in regions.AGENTCORE else regions.DEFAULT
    adoption = Adoption(options.name or suggested, options.region or here, target.id, add)
    given: dict[str, Any] = {"name": adoption.name, "region": adoption.region}
    invalid = [each for each in invalid_settings(given) if each.key in given]
    if invalid:
        text = "\n  ".join(f"--{each.key}: {each.message}" for each in invalid)
        again = typed("adopt", replace(options, name=suggested, region=None))
        raise VoicecoreError(text, f"For example:  {again}", ExitCode.USAGE)
    return adoption


def _asks(context: Context, options: AdoptOptions) -> bool:
    return context.interactive and not options.yes and not options.json


def _ask(options: AdoptOptions, target: _Target, adoption: Adoption) -> Adoption:
    """Ask for the name and for each file that is missing, unless options tell."""
    name = adoption.name
    if options.name is None:
        name = questions.ask_project_name(name)
    if options.add:
        return replace(adoption, name=name)
    needed = (Missing.APP, Missing.DOCKERFILE)
    add = [
        missing
        for missing in target.report.missing
        if questions.ask_to_write(view.WRITES[missing], default=missing in needed)
    ]
    return replace(adoption, name=name, add=frozenset(add))


def _require_served(options: AdoptOptions, target: _Target, report: Report) -> None:
    if not report.command.words:
        raise NothingServes(
            f"{target.report.entry.file} answers neither /ping nor /ws, which AgentCore calls; "
            "nothing was written.",
            f"Write an app that serves the bot, beside it:  {_with_app(options)}",
            ExitCode.BAD_PROJECT,
        )


def _with_app(options: AdoptOptions) -> str:
    return typed("adopt", replace(options, dry_run=False), "--add", Missing.APP.value)


def _require_free(target: _Target, files: Files) -> None:
    """Raise FileTaken if a file of the user's would be replaced."""
    ours = (FILE, IGNORED)
    taken = [name for name in files if name not in ours and (target.root / name).exists()]
    if taken:
        raise FileTaken(
            f"{', '.join(taken)} exists, and adopt replaces none of your files; nothing was "
            "written.",
            "Leave out what you have, or move the file away first.",
        )


def _show(context: Context, target: _Target) -> None:
    context.output.say(f"{target.root.name}/ has {target.report.entry.kind.value}:")
    context.output.lines(view.lines_of(target.report, target.set_keys))


def _tell(
    context: Context, options: AdoptOptions, target: _Target, report: Report, files: Files
) -> None:
    root = target.root
    place = os.path.relpath(root, context.cwd)
    following = ([] if place == "." else [f"cd {place}"]) + ["voicecore dev", "voicecore deploy"]
    if not report.command.words:
        following = [_with_app(options)]
    shown = list(dict.fromkeys(_shown(name) for name in files if name != IGNORED))
    if options.json:
        context.output.json(
            {
                "project": str(root),
                "written": not options.dry_run,
                "report": view.document_of(report, target.set_keys),
                "files": shown,
                "settings": files[FILE].decode() if files else "",
                "next": following,
            }
        )
        return
    output = context.output
    if options.dry_run and not files:
        output.say(f"Would write nothing: the bot needs an app that serves it:  {following[0]}")
        return
    if options.dry_run:
        output.say("Would write these files; nothing was written:")
        output.lines([Span(f"  {name}")] for name in shown)
        output.lines([Span(f"    {line}", "dim")] for line in files[FILE].decode().splitlines())
        return
    unset = [key.name for key in report.keys if not target.set_keys.get(key.name)]
    output.lines(_result_lines(report, shown, unset, following))


def _shown(file: str) -> str:
    """Return what to show of a new file: its name, or the folder that is new with it."""
    return f"{SERVER}/" if file.startswith(f"{SERVER}/") else file


def _result_lines(
    report: Report, written: Iterable[str], unset: Iterable[str], following: Iterable[str]
) -> Iterable[list[Span]]:
    yield [Span("✓ ", "green"), Span("wrote "), Span(", ".join(written), "bold")]
    if report.uses:
        yield [
            Span("  its role in AWS will allow what [agent] uses: "),
            Span(", ".join(report.uses)),
        ]
    if names := ", ".join(unset):
        yield [Span("  before it runs, set in its .env: "), Span(names)]
    yield [Span("Run it:  "), Span(" && ".join(following), "bold")]

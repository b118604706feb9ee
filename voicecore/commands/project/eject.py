"""`voicecore eject`: write source code into the project that only its editors need."""

from __future__ import annotations

from pathlib import Path

from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.project.eject import EjectOptions
from voicecore.project.project import Project, load_project
from voicecore.scaffold import record, render
from voicecore.scaffold.render import EJECTABLE, Files

_BUILD = "cd client && npm ci && npm run build"


class UnknownPart(VoicecoreError):
    """No part of a project has this name."""


class NoPage(VoicecoreError):
    """The project has no page: no transport of it runs in a browser."""


class AlreadyEjected(VoicecoreError):
    """The folder that would be written exists."""


def run(context: Context, options: EjectOptions) -> ExitCode:
    """Write the source of the part into the project, or list what would be written."""
    if options.part not in EJECTABLE:
        raise UnknownPart(
            f"Nothing named {options.part!r} can be ejected.",
            f"Choose one of {', '.join(EJECTABLE)}:  voicecore eject {EJECTABLE[0]}",
            ExitCode.USAGE,
        )
    project = load_project((context.cwd / (options.project or "")).resolve())
    target = project.root / options.part
    _require_page(project)
    _require_free(target)
    files = render.ejected(options.part)
    if not options.dry_run:
        _confirm(context, options, target, files)
        render.write_new(files, target)
        _record(project, {f"{options.part}/{path}": text for path, text in files.items()})
    _report(context, options, target, files)
    return ExitCode.OK


def _record(project: Project, files: Files) -> None:
    """Record the files as generated, so that `voicecore update` updates them, too."""
    if (before := record.read(project.root)) is not None:
        record.write(project.root, before | files)


def _require_page(project: Project) -> None:
    if not any(TRANSPORTS[name].browser for name in project.transports):
        raise NoPage(
            f"{project.name} has no page: none of its transports runs in a browser.",
            "Add one that does:  voicecore add websocket",
            ExitCode.BAD_PROJECT,
        )


def _require_free(target: Path) -> None:
    if target.exists():
        raise AlreadyEjected(
            f"{target} exists; nothing was written.",
            "Move it away, then run the same command again.",
        )


def _confirm(context: Context, options: EjectOptions, target: Path, files: Files) -> None:
    # Nothing is overwritten, so a program need not confirm.
    if options.json or not context.interactive:
        return
    question = f"Write {len(files)} files to {target.name}/?"
    confirm(context, options, question, "nothing was written", typed("eject", options))


def _report(context: Context, options: EjectOptions, target: Path, files: Files) -> None:
    output = context.output
    if options.json:
        document = {
            "part": options.part,
            "folder": str(target),
            "written": not options.dry_run,
            "files": [f"{target.name}/{name}" for name in files],
            "next": _BUILD,
        }
        output.json(document)
    elif options.dry_run:
        output.say(f"Would write {len(files)} files to {target.name}/; nothing was written:")
        for name in files:
            output.say(f"  {target.name}/{name}")
    else:
        output.say(f"✓ {target.name}/ has the source of the page: {len(files)} files")
        output.say(f"Build it after a change (needs Node.js):  {_BUILD}")

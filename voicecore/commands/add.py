"""`voicecore add`: add a transport to a project and keep the user's own edits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from voicecore.catalog import phones
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.diff import diff_lines
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.image.inputs import lockfile
from voicecore.options.add import AddOptions
from voicecore.project.no_links import refuse_links, within
from voicecore.project.project import FILE, Project, load_project
from voicecore.project.schema import invalid_settings
from voicecore.scaffold import merge, questions, render
from voicecore.scaffold.merge import Conflict, MergePlan
from voicecore.scaffold.render import Files


class UnknownTransport(VoicecoreError):
    """The transport is not in the catalog."""


class UnknownProvider(VoicecoreError):
    """--provider is not in the catalog, or the transport uses no phone provider."""


class UnfitSettings(VoicecoreError):
    """Settings of voicecore.toml do not go with the transport."""


class ConflictingEdits(VoicecoreError):
    """The user edited the lines that have to change."""


def run(context: Context, options: AddOptions, command: str = "") -> ExitCode:
    """Add the transport, or show what would change.

    `command` is what to type to be asked again; by default, this command.
    """
    if options.transport not in TRANSPORTS:
        raise UnknownTransport(
            f"Unknown transport {options.transport!r}.",
            f"Choose one of {', '.join(TRANSPORTS)}:  voicecore add webrtc",
            ExitCode.USAGE,
        )
    project = load_project((context.cwd / (options.project or "")).resolve())
    providers = _providers(context, project, options)
    if options.transport in project.transports and providers == project.providers:
        if options.json:
            context.output.json(_document(project, options, MergePlan(), written=False))
        else:
            context.output.say(f"{project.name} already has {TRANSPORTS[options.transport].title}.")
        return ExitCode.OK
    _require_fit(project, options, providers)
    plan = plan_for(project, options.transport, providers)
    if plan.conflicts:
        raise _conflicting_edits(plan.conflicts)
    if not options.json:
        _show(context.output, plan)
    if not options.dry_run:
        if any(change.kind != "new" for change in plan.changes):
            command = command or typed("add", options)
            confirm(context, options, "Make these changes?", "nothing was written", command)
        _apply(project, plan)
        _lock(context, project)
    if options.json:
        context.output.json(_document(project, options, plan, written=not options.dry_run))
    elif options.dry_run:
        context.output.say("Nothing was written.")
    else:
        _report(context.output, project, options, providers)
    return ExitCode.OK


def _providers(context: Context, project: Project, options: AddOptions) -> tuple[str, ...]:
    """Return the phone providers that the project will have. Raises UnknownProvider."""
    chosen = options.providers
    if not TRANSPORTS[options.transport].by_phone:
        if chosen:
            raise UnknownProvider(
                f"The transport {options.transport} uses no phone provider.",
                f"Leave --provider out:  voicecore add {options.transport}",
                ExitCode.USAGE,
            )
        return project.providers
    for provider in chosen:
        if provider not in PHONES:
            raise UnknownProvider(
                f"Unknown phone provider {provider!r}.",
                f"Choose one of {', '.join(PHONES)}:  "
                f"voicecore add {options.transport} --provider {phones.DEFAULT}",
                ExitCode.USAGE,
            )
    if not chosen and not project.providers:
        can_ask = context.interactive and not (options.yes or options.json)
        chosen = tuple(questions.ask_providers()) if can_ask else (phones.DEFAULT,)
    return tuple(dict.fromkeys((*project.providers, *chosen)))


def _require_fit(project: Project, options: AddOptions, providers: tuple[str, ...]) -> None:
    """Raise UnfitSettings if voicecore.toml would not be valid with the transport."""
    if options.transport in project.transports:
        return
    answers = tomllib.loads((project.root / FILE).read_text(encoding="utf-8"))
    wider = answers | {"transports": [*project.transports, options.transport]}
    if providers:
        wider[BY_PHONE] = {"providers": list(providers)}
    if mistakes := list(invalid_settings(wider)):
        raise UnfitSettings(
            f"{FILE} does not go with {TRANSPORTS[options.transport].title}:\n"
            + "\n".join(f"  {mistake.key}: {mistake.message}" for mistake in mistakes),
            f"Change {FILE}, then run the command again. Nothing was written.",
            ExitCode.BAD_PROJECT,
        )


def plan_for(project: Project, transport: str, providers: tuple[str, ...] = ()) -> MergePlan:
    """Return what the transport changes in the project.

    `providers` are the phone providers of the result; empty: those the project has.
    """
    answers = render.answers_of(project)
    transports = tuple(dict.fromkeys((*project.transports, transport)))
    wider = replace(answers, transports=transports, providers=providers or project.providers)
    # The key is only in files that are never changed.
    old, new = (render.render(each, "", project.id) for each in (answers, wider))
    return merge.plan(old, _present(project.root, new), new)


def _present(root: Path, files: Files) -> Files:
    paths = ((name, root / name) for name in files)
    return {name: path.read_bytes() for name, path in paths if path.is_file()}


def _conflicting_edits(conflicts: tuple[Conflict, ...]) -> ConflictingEdits:
    parts: list[str] = []
    for conflict in conflicts:
        lines = diff_lines(conflict.path, conflict.rendered_before, conflict.rendered_after)
        parts += ["".join(span.text for span in line) for line in lines]
    names = ", ".join(conflict.path for conflict in conflicts)
    return ConflictingEdits(
        f"{names}: you have edited the lines that have to change. Nothing was written.",
        "Make these changes by hand, then run the command again:\n" + "\n".join(parts),
    )


def _show(output: Output, plan: MergePlan) -> None:
    """Show the names of new files, and the changed lines of all others."""
    for change in plan.changes:
        style = "green" if change.kind == "new" else "yellow"
        output.lines([[Span(f"{change.kind:>9} ", style), Span(change.path)]])
        if change.kind != "new":
            output.lines(diff_lines(change.path, change.before, change.after))


def _apply(project: Project, plan: MergePlan) -> None:
    """Write all changes, or none if one leads through a link. Raises OSError and LinkRefused."""
    paths = {project.root / change.path: change.after for change in plan.changes}
    for path in paths:
        refuse_links(path, project.root)
    for path, content in paths.items():
        with open(path, "wb", opener=within(project.root, mode=0o666)) as file:
            file.write(content)


def _lock(context: Context, project: Project) -> None:
    """Update the agent's lockfile, if it has one: a build refuses one that is out of date."""
    if not (project.agent / lockfile.LOCK).exists():
        return
    try:
        with context.output.step("Locking the agent's packages"):
            lockfile.lock(project.agent, context.env)
    except (lockfile.LockFailed, lockfile.BadLock) as error:
        # The transport is added all the same, and a build reports the lockfile again.
        context.output.warn(f"{error.message}\n{error.hint}")


def _report(
    output: Output, project: Project, options: AddOptions, providers: Iterable[str]
) -> None:
    added = TRANSPORTS[options.transport]
    output.say(f"✓ {project.name} now has {added.title}; agent/bot.py is unchanged.")
    if added.key:
        output.say(f"It needs {added.key} in server/.env. README.md says where to get it.")
    command = f"talk --transport {added.name}" if added.in_talk else "dev"
    if added.by_phone:
        command = f"talk --phone {(*options.providers, *providers)[0]}"
    output.say(f"Talk to it:  voicecore {command}")


def _document(
    project: Project, options: AddOptions, plan: MergePlan, written: bool
) -> dict[str, object]:
    return {
        "project": str(project.root),
        "transport": options.transport,
        "written": written and bool(plan.changes),
        "files": {change.path: change.kind for change in plan.changes},
    }

"""`voicecore add`: one more transport for a project that is already someone's own."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from voicecore.catalog import phones
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.image.inputs import lockfile
from voicecore.project.project import Project, load_project
from voicecore.scaffold import merge, questions, render
from voicecore.scaffold.merge import Change, Conflict, Plan
from voicecore.scaffold.render import Answers, Files

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class AddOptions:
    """The flags of `voicecore add`."""

    transport: str
    project: Path | None = None
    yes: bool = False
    dry_run: bool = False
    json: bool = False
    providers: tuple[str, ...] = ()
    """Telephone providers, for a transport that has any."""


class UnknownTransport(VoicecoreError):
    """There is no such transport."""


class UnknownProvider(VoicecoreError):
    """There is no such telephone provider, or none to choose."""


class OwnLines(VoicecoreError):
    """The user has changed the very lines that would change."""


class NotAgreed(VoicecoreError):
    """Nobody said yes to the changes."""


def run(context: Context, options: AddOptions, again: str = "") -> ExitCode:
    """Add the transport, or say exactly what would change.

    `again` is the command that whoever declines may type later; unsaid, it is this one.
    """
    if options.transport not in TRANSPORTS:
        raise UnknownTransport(
            f"There is no transport {options.transport!r}.",
            f"Choose of {', '.join(TRANSPORTS)}:  voicecore add webrtc",
            ExitCode.USAGE,
        )
    project = load_project((context.cwd / (options.project or "")).resolve())
    providers = _providers(context, project, options)
    if options.transport in project.transports and providers == project.providers:
        if options.json:
            context.output.json(_report(project, options, Plan((), ()), written=False))
        else:
            context.output.say(f"{project.name} has {TRANSPORTS[options.transport].title} already.")
        return ExitCode.OK
    planned = plan_for(project, options.transport, providers)
    if planned.conflicts:
        raise _conflicted(planned.conflicts)
    if not options.json:
        show(context.output, planned)
    if not options.dry_run:
        agree(context, planned, options, again or _again(options))
        apply(project, planned)
        _lock(context, project)
    if options.json:
        context.output.json(_report(project, options, planned, written=not options.dry_run))
    elif options.dry_run:
        context.output.say("Nothing was written.")
    else:
        added = TRANSPORTS[options.transport]
        context.output.say(f"✓ {project.name} now has {added.title}; agent/bot.py is as it was.")
        if added.key:
            where = "README.md says where it is from"
            context.output.say(f"It needs {added.key} in server/.env: {where}.")
        command = f"talk --transport {added.name}" if added.in_talk else "dev"
        if added.by_phone:
            command = f"talk --phone {(*options.providers, *providers)[0]}"
        context.output.say(f"Speak to it:  voicecore {command}")
    return ExitCode.OK


def _providers(context: Context, project: Project, options: AddOptions) -> tuple[str, ...]:
    """The telephone providers that the project is to have. Raises UnknownProvider."""
    for provider in options.providers:
        if provider not in PHONES:
            raise UnknownProvider(
                f"There is no provider {provider!r}.",
                f"Choose of {', '.join(PHONES)}:  voicecore add telephony --provider twilio",
                ExitCode.USAGE,
            )
    chosen = options.providers
    if not TRANSPORTS[options.transport].by_phone:
        if chosen:
            raise UnknownProvider(
                f"{options.transport} has no provider to choose.",
                f"Leave --provider out:  voicecore add {options.transport}",
                ExitCode.USAGE,
            )
        return project.providers
    if not chosen and not project.providers:
        asked = context.interactive and not (options.yes or options.json)
        chosen = tuple(questions.ask_providers()) if asked else (phones.DEFAULT,)
    return tuple(dict.fromkeys((*project.providers, *chosen)))


def plan_for(project: Project, transport: str, providers: tuple[str, ...] = ()) -> Plan:
    """What this transport changes in the project, which then has these telephone providers.

    Raises nothing: conflicts are in the plan.
    """
    answers = Answers(
        project.name,
        project.transports,
        project.pipeline,
        project.region,
        project.services,
        project.providers,
    )
    transports = tuple(dict.fromkeys((*project.transports, transport)))
    wider = replace(answers, transports=transports, providers=providers or project.providers)
    # The key is in files that are never touched.
    old, new = (render.render(each, session_api_key="") for each in (answers, wider))
    return merge.plan(old, _present(project.root, new), new)


def apply(project: Project, planned: Plan) -> None:
    """Write the changes. Raises OSError."""
    for change in planned.changes:
        path = project.root / change.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change.after)


def agree(context: Context, planned: Plan, options: AddOptions, again: str) -> None:
    """Raise NotAgreed unless --yes, or a person, says yes; new files alone need none."""
    if options.yes or all(change.kind == "new" for change in planned.changes):
        return
    if options.json or not context.interactive:
        raise NotAgreed("Files would change; nothing was written.", f"Agree with --yes:  {again}")
    if not questions.confirm("Make these changes?"):
        raise NotAgreed("Nothing was written.", f"When you agree:  {again}")


def _again(options: AddOptions) -> str:
    """The command as it was typed, by who agrees."""
    folder = ["--project", str(options.project)] if options.project else []
    chosen = [word for provider in options.providers for word in ("--provider", provider)]
    return shlex.join(["voicecore", "add", options.transport, *chosen, *folder, "--yes"])


def _lock(context: Context, project: Project) -> None:
    """Brings the agent's lockfile up to date, if it has one: no image is built by an old one."""
    if not (project.agent / lockfile.LOCK).exists():
        return
    try:
        with context.output.step("Locking what the agent asks for now"):
            lockfile.lock(project.agent, context.env)
    except (lockfile.LockFailed, lockfile.BadLock) as error:
        # The transport is there all the same; a build says it again.
        context.output.warn(f"{error.message}\n{error.hint}")


def show(output: Output, planned: Plan) -> None:
    """Every change: the names of new files, and the lines of others."""
    for change in planned.changes:
        style = "green" if change.kind == "new" else "yellow"
        output.lines([[Span(f"{change.kind:>9} ", style), Span(change.path)]])
        if change.kind != "new":
            output.lines(_lines(change.path, change.before, change.after))


def _lines(path: str, before: bytes, after: bytes) -> Iterable[list[Span]]:
    now, new = (text.decode(errors="replace").splitlines() for text in (before, after))
    changed = difflib.unified_diff(now, new, f"now/{path}", f"new/{path}", lineterm="", n=1)
    return [[Span(line, _STYLES.get(line[:1], "dim"))] for line in changed]


def _present(root: Path, files: Files) -> Files:
    paths = ((name, root / name) for name in files)
    return {name: path.read_bytes() for name, path in paths if path.is_file()}


def _conflicted(conflicts: tuple[Conflict, ...]) -> OwnLines:
    parts: list[str] = []
    for conflict in conflicts:
        lines = _lines(conflict.path, conflict.ours_before, conflict.ours_after)
        parts += ["".join(span.text for span in line) for line in lines]
    names = ", ".join(conflict.path for conflict in conflicts)
    return OwnLines(
        f"{names}: you have changed the lines that would change. Nothing was written.",
        "Make these changes by hand, then call this again:\n" + "\n".join(parts),
    )


def _report(
    project: Project, options: AddOptions, planned: Plan, written: bool
) -> dict[str, object]:
    changes: list[Change] = list(planned.changes)
    return {
        "project": str(project.root),
        "transport": options.transport,
        "written": written and bool(changes),
        "files": {change.path: change.kind for change in changes},
    }

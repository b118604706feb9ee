"""`voicecore update`: bring a project's generated files up to date and keep the user's edits."""

from __future__ import annotations

from pathlib import Path

from voicecore import __version__
from voicecore.commands.project import changes
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.git import git
from voicecore.options.project.update import UpdateOptions
from voicecore.project.project import FILE, BadProject, Project, load_project
from voicecore.scaffold import apply, record, render, update
from voicecore.scaffold.merge import Change, MergePlan
from voicecore.scaffold.render import SECRET_FILES, Files

_NAMED = 3
"""Files with uncommitted changes that the error names."""


class DirtyTree(VoicecoreError):
    """The project has changes that git has not, so the update's would be mixed with them."""


class NotGenerated(VoicecoreError):
    """--restore names no generated file."""


def run(context: Context, options: UpdateOptions) -> ExitCode:
    """Update or restore the project's files, or show what would change."""
    root = (context.cwd / (options.project or "")).resolve()
    if apply.finish(root):
        context.output.note("An earlier change of this project was interrupted; it is made now.")
    project = load_project(root)
    changes.require_not_newer(project)
    if options.restore is not None:
        return _restore(context, options, project, options.restore)
    before = changes.generated(project, _folder(context, options))
    after = update.rendered(project, render.answers_of(project), before)
    plan = changes.plan(project, before, after, options)
    if plan.changes and not (options.dry_run or options.allow_dirty):
        _require_clean(context, options, project)
    backup = changes.make(context, options, project, plan, after, typed("update", options))
    if not options.json and not options.dry_run:
        _tell(context, project, plan, backup)
    versions = {"from": project.version, "to": __version__}
    return changes.report(context, options, project, plan, backup, **versions)


def _folder(context: Context, options: UpdateOptions) -> Path | None:
    """Return the folder of --generated. Raises BadProject if it has no project."""
    folder = context.cwd / options.generated if options.generated else None
    if folder and not (folder / FILE).is_file():
        raise BadProject(
            f"There is no {FILE} in {folder}, so voicecore did not generate it.",
            "Name the folder that `voicecore init` created:  voicecore update --generated DIR",
        )
    return folder


def _require_clean(context: Context, options: UpdateOptions, project: Project) -> None:
    """Raise DirtyTree if git knows the project and has not all of its changes."""
    changed = git(project.root, context.env, "status", "--porcelain", "--", ".")
    if changed:
        names = [line.split(maxsplit=1)[-1] for line in changed.splitlines()]
        more = f" and {len(names) - _NAMED} more files" if len(names) > _NAMED else ""
        raise DirtyTree(
            f"{project.name} has uncommitted changes in {', '.join(names[:_NAMED])}{more}; "
            "nothing was written.",
            "Commit them, so that `git diff` shows what the update did:\n"
            f"git -C {project.root} add . && git -C {project.root} commit -m 'Before the update'\n"
            f"Or update all the same:  {typed('update', options, '--allow-dirty')}",
        )


def _tell(context: Context, project: Project, plan: MergePlan, backup: Path | None) -> None:
    output = context.output
    if plan.changes and not plan.conflicts:
        output.say(f"✓ {project.name} is up to date with voicecore {__version__}.")
        output.say("Test it, then commit it:  uv run --project agent pytest")
    elif not plan.changes:
        output.say(f"{project.name} is up to date with voicecore {__version__}.")
    if backup and not plan.changes:
        output.note(f"{record.PATH} now records what was generated; commit it.")


def _restore(context: Context, options: UpdateOptions, project: Project, path: str) -> ExitCode:
    """Write generated files again: those that are missing or edited, at or below the path."""
    files = _generated_at(project, path)
    present = update.read_files(project.root, files)
    steps = [
        Change(name, "changed" if name in present else "new", present.get(name, b""), content)
        for name, content in files.items()
        if present.get(name) != content and not (name in present and name in SECRET_FILES)
    ]
    plan = MergePlan(tuple(steps))
    command = typed("update", options)
    backup = changes.make(context, options, project, plan, None, command)
    if not options.json and not plan.changes:
        context.output.say(f"{path} is as generated; nothing was written.")
    return changes.report(context, options, project, plan, backup)


def _generated_at(project: Project, path: str) -> Files:
    """Return the generated files at or below a path of the project. Raises NotGenerated."""
    wanted = (project.root / path).resolve()
    before = record.read(project.root) or {}
    texts = {name: each for name, each in before.items() if not record.is_digest(each)}
    every = update.rendered(project, render.answers_of(project), before) | texts
    found = {
        name: content
        for name, content in sorted(every.items())
        if (project.root / name).resolve() == wanted
        or wanted in (project.root / name).resolve().parents
    }
    if not found:
        raise NotGenerated(
            f"voicecore generates no {path} for {project.name}; nothing was written.",
            "See all files that it generates:  voicecore update --restore . --dry-run",
            ExitCode.USAGE,
        )
    return found

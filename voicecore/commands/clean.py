"""`voicecore clean`: delete what voicecore keeps on this machine and can make again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Span, megabytes
from voicecore.image.cache_folders import cache_folder
from voicecore.local.log_reader import log_folder
from voicecore.local.processes.dev_state import project_lock
from voicecore.local.trace_reader import trace_folder
from voicecore.options.clean import CleanOptions
from voicecore.project.project import FILE, Project, load_project


class InUse(VoicecoreError):
    """`voicecore dev` runs on what would be deleted."""


class NotDeleted(VoicecoreError):
    """A file could not be deleted."""


@dataclass(frozen=True)
class DeletableFolder:
    """A folder that can be deleted."""

    path: Path
    title: str
    bytes: int


def run(context: Context, options: CleanOptions) -> ExitCode:
    """Show what can be deleted, and delete it once the user agrees."""
    root = context.cwd / (options.project or "")
    in_project = options.project is not None or (root / FILE).exists()
    project = load_project(root) if in_project else None
    found = list(_leftovers(project, context.env))
    if not options.json:
        context.output.lines(_table(found, context.cwd))
    if found and not options.dry_run:
        again = typed("clean", options)
        confirm(context, options, "Delete these folders?", "nothing was deleted", again)
        _delete(found, project)
    if options.json:
        rows = [
            {"path": str(each.path), "title": each.title, "bytes": each.bytes} for each in found
        ]
        context.output.json({"deleted": bool(found) and not options.dry_run, "found": rows})
    elif found and not options.dry_run:
        context.output.say("✓ Deleted")
    return ExitCode.OK


def _leftovers(project: Project | None, env: Mapping[str, str]) -> Iterator[DeletableFolder]:
    folders = {cache_folder(env): "cached images and layers"}
    if project:
        programs = filter(None, (project.agent_program, project.server_program))
        packages = {each.venv: f"packages of {each.folder.name}/" for each in programs}
        kept = {
            log_folder(project.local): "logs of `voicecore dev`",
            trace_folder(project.local): "traces of `voicecore dev`",
        }
        folders = {**packages, **kept, **folders}
    for path, title in folders.items():
        if path.is_dir() and not path.is_symlink():
            yield DeletableFolder(path, title, _size(path))


def _size(folder: Path) -> int:
    """Return the bytes of all files; a file with several names counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for where, _, names in os.walk(folder):
        for name in names:
            status = (Path(where) / name).lstat()
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _table(found: list[DeletableFolder], cwd: Path) -> Iterator[Line]:
    if not found:
        yield [Span("There is nothing to delete.")]
        return
    for each in found:
        path = each.path.relative_to(cwd) if each.path.is_relative_to(cwd) else each.path
        yield [Span(f"{megabytes(each.bytes):>10}  "), Span(f"{path}  "), Span(each.title, "dim")]
    yield [Span(f"{megabytes(sum(each.bytes for each in found)):>10}  in total", "bold")]


def _delete(found: list[DeletableFolder], project: Project | None) -> None:
    with ExitStack() as stack:
        if project and not stack.enter_context(project_lock(project.local)):
            raise InUse(
                f"`voicecore dev` is running {project.name}; nothing was deleted.",
                "Stop it with Ctrl-C where it runs, then run:  voicecore clean",
            )
        for each in found:
            try:
                shutil.rmtree(each.path)
            except OSError as error:
                raise NotDeleted(
                    f"Could not delete {error.filename or each.path}: {error.strerror or error}.",
                    f"Delete it as its owner:  sudo rm -r {each.path}",
                ) from error

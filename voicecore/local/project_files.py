"""Owns the check that the programs of a project are there to be started."""

from __future__ import annotations

from voicecore.project.project import FILE, BadProject, Project


def check_files(project: Project) -> None:
    """Raise BadProject, naming the missing files, unless agent and server can be started."""
    if not project.generated:
        _check_programs(project)
        return
    needed = (project.agent / "internal" / "app.py", project.server / "internal" / "server.py")
    missing = [str(path.relative_to(project.root)) for path in needed if not path.exists()]
    if missing:
        raise BadProject(
            f"{project.root} lacks {' and '.join(missing)}.",
            "Restore the generated files; no other file is changed:\n"
            + "\n".join(f"voicecore update -p {project.root} --restore {path}" for path in missing),
        )


def _check_programs(project: Project) -> None:
    for name, program in (("agent", project.agent_program), ("server", project.server_program)):
        needed = (program.folder, program.requirements) if program else ()
        for path in needed:
            if path and not path.exists():
                raise BadProject(
                    f"[{name}] in {FILE} names {path}, which does not exist.",
                    f"Correct {project.root / FILE}, or look at the folder again:\n"
                    f"voicecore adopt {project.root} --force --dry-run",
                )

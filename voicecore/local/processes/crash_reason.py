"""Owns reading a program's output for why it ended: its error, and the line of its own code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
_MISSING = re.compile(r"ModuleNotFoundError: No module named '(?P<module>\w+)")
_OTHERS = ("site-packages", ".venv")
"""Folders in a program's folder whose code is not the user's."""


@dataclass(frozen=True)
class CrashReason:
    """The reason for the end of a program."""

    error: str
    """Its error, with the line of the user's code that led to it."""
    advice: str
    """What repairs it, as a line that ends; empty if that is not known."""


def crash_reason(lines: Sequence[str], folder: Path) -> CrashReason:
    """Return why a program whose code is in `folder` ended, given its last output."""
    error = last_error(lines)
    place = _own_place(_last_traceback(lines), folder)
    return CrashReason(f"{error} ({place})" if place else error, _advice(error, folder))


def last_error(lines: Sequence[str]) -> str:
    """Return the output line that explains why a process died.

    This is the last line of its last traceback (`ModuleNotFoundError: …`), or else its last output.
    """
    traceback = _last_traceback(lines)
    ends = [line for line in traceback if not line.startswith((" ", "\t"))]
    written = ends[:1] or [line for line in lines if line.strip()][-1:]
    return written[0].strip() if written else "it wrote nothing"


def _last_traceback(lines: Sequence[str]) -> list[str]:
    """Return the lines after the head of the last traceback, or of a SyntaxError without one."""
    written = [line for line in lines if line.strip()]
    heads = [i + 1 for i, line in enumerate(written) if line.startswith("Traceback (most recent")]
    # Python prints no head for a SyntaxError in the file that it is started with.
    frames = [i for i, line in enumerate(written) if _FRAME.match(line)]
    start = next(iter(heads[-1:] or frames[:1]), len(written))
    return written[start:]


def _own_place(traceback: Sequence[str], folder: Path) -> str:
    """Return the last line of the user's own code in a traceback; empty if there is none.

    A program's folder `internal` has the code that is rarely edited: it comes second.
    """
    own: list[tuple[Path, str]] = []
    for line in traceback:
        if (frame := _FRAME.match(line)) and (file := _within(Path(frame["file"]), folder)):
            own.append((file, frame["line"]))
    edited = [place for place in own if place[0].parts[0] != "internal"]
    return next((f"{folder.name}/{file}, line {line}" for file, line in (edited or own)[-1:]), "")


def _within(file: Path, folder: Path) -> Path | None:
    """Return the path of a file of the user's, relative to the folder; else None."""
    for base in (folder, folder.resolve()):
        if file.is_relative_to(base) and not any(part in file.parts for part in _OTHERS):
            return file.relative_to(base)
    return None


def _advice(error: str, folder: Path) -> str:
    missing = _MISSING.match(error)
    if missing is None or (folder / missing["module"]).exists():
        return ""
    module = missing["module"]
    if (folder / "pyproject.toml").exists():
        add = f"uv add --project {_typed(folder)} {module}"
        return f"If {module} is a package, add it:  {add}\n"
    if (folder / "requirements.txt").exists():
        return f"If {module} is a package, add it to {folder.name}/requirements.txt.\n"
    return ""


def _typed(folder: Path) -> str:
    """Return a folder as the user types it where the command was started."""
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))

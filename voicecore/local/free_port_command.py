"""Owns how a program that always listens on one port is started at another.

`app.run()` of AWS's SDK ignores PORT, and so do most samples. Where the program only serves an app
that its module defines, uvicorn serves the same app at any port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voicecore.project.python_code import read_module

_PYTHONS = ("python", "python3")
_QUIET = ("--no-access-log",)  # it would have a line for each /ping


@dataclass(frozen=True)
class _Script:
    """A Python program in a command: the words before it, its module, and where that is found."""

    python: tuple[str, ...]
    module: str
    folder: str

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.folder) / (self.module.replace(".", "/") + ".py")


def free_port_command(folder: Path, command: Sequence[str], port: int) -> tuple[str, ...] | None:
    """Return a command that starts the same program at `$PORT`; None if there is none.

    `command` runs in `folder` and starts a program that always listens on `port`.
    """
    pairs = list(zip(("", *command), command, strict=False))
    if ("--port", str(port)) in pairs:
        new = {("--port", str(port)): "$PORT", ("--host", "0.0.0.0"): "127.0.0.1"}  # noqa: S104
        return tuple(new.get(pair, pair[1]) for pair in pairs)
    script = _script_of(command)
    if script is None:
        return None
    app = _served_app(folder, script)
    if not app:
        return None
    where = ("--app-dir", script.folder, "--host", "127.0.0.1", "--port", "$PORT", *_QUIET)
    return (*script.python, "-m", "uvicorn", f"{script.module}:{app}", *where)


def _script_of(command: Sequence[str]) -> _Script | None:
    names = [PurePosixPath(word).name for word in command]
    found = next((at for at, name in enumerate(names) if name in _PYTHONS), None)
    if found is None:
        return None
    python, rest = tuple(command[: found + 1]), tuple(command[found + 1 :])
    match rest:
        case ("-m", module):
            return _Script(python, module, ".")
        case (file,) if file.endswith(".py"):
            path = PurePosixPath(file)
            return _Script(python, path.stem, str(path.parent))
        case _:
            return None


def _served_app(folder: Path, script: _Script) -> str:
    try:
        source = (folder / script.path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    module = read_module(str(script.path), source)
    return module.served_app if module else ""

"""Owns how a program that always listens on one port is started at another.

`app.run()` of AWS's SDK ignores PORT, and so do most samples. Where the program only serves an app
that its module defines, uvicorn serves the same app at any port.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_APPS = ("BedrockAgentCoreApp", "FastAPI", "Starlette")
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
    try:
        source = (folder / script.path).read_text(encoding="utf-8")
        app = served_app(source, script.module)
    except (OSError, ValueError, SyntaxError):
        return None
    if app is None:
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


def served_app(source: str, module: str) -> str | None:
    """Return the name of the app that the program serves, if it does nothing else when it runs."""
    body = ast.parse(source).body
    apps = {
        target.id
        for node in body
        if isinstance(node, ast.Assign) and _called(node.value) in _APPS
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    main = [node for node in body if isinstance(node, ast.If) and _is_main(node.test)]
    # Other code there, such as one that loads keys, would not run under uvicorn; and `run` at the
    # top of the module would start the program's own server.
    if len(main) != 1 or any(_called(node) == "run" for node in body):
        return None
    served = [_served(node, module) for node in main[0].body if not isinstance(node, ast.Import)]
    return served[0] if len(served) == 1 and served[0] in apps else None


def _served(node: ast.stmt, module: str) -> str | None:
    """Return the app of `app.run()`, `uvicorn.run(app)` or `uvicorn.run("module:app")`."""
    if not (isinstance(node, ast.Expr) and _called(node) == "run"):
        return None
    call = node.value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return None
    on = call.func.value
    if not isinstance(on, ast.Name):
        return None
    if on.id != "uvicorn":
        return on.id
    match call.args[:1]:
        case [ast.Name(id=name)]:
            return name
        case [ast.Constant(value=str(text))] if text.startswith(f"{module}:"):
            return text.partition(":")[2]
        case _:
            return None


def _called(node: ast.AST) -> str | None:
    """Return the last name of what an expression calls: `run` for `app.run()`."""
    call = node.value if isinstance(node, ast.Expr) else node
    if not isinstance(call, ast.Call):
        return None
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case _:
            return None


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and ast.unparse(test).replace('"', "'") in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )

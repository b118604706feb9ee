"""Owns reading a Python module without running it: its apps, routes, keys and AWS clients."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

_SDK_APP = "BedrockAgentCoreApp"
_FASTAPI = "fastapi.FastAPI"
_STARLETTE = "starlette.applications.Starlette"

_DEFAULT_PORTS = {"uvicorn.run": 8000, "sdk.run": 8080}
_SDK_PATHS = dict(entrypoint="/invocations", websocket="/ws", ping="/ping")
"""Decorators of AWS's SDK, and the paths that their functions answer."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BOTO3 = ("boto3", "aioboto3", "aiobotocore")


@dataclass(frozen=True)
class App:
    """An application object at module level."""

    variable: str
    line: int
    sdk: bool
    """True for AWS's SDK, False for FastAPI."""


@dataclass(frozen=True)
class AnsweredPath:
    """A path that the module answers, such as GET /ping."""

    method: str
    path: str
    status: str = ""
    """Text under "status" in the answer, if it is a constant."""
    stamped: bool = False
    """True when the answer has time_of_last_update."""


@dataclass(frozen=True)
class Start:
    """The call that starts the module's server."""

    port: int
    """Port that is written there; 0 if it comes from elsewhere."""
    host: str
    """Address that is written there; empty if it comes from elsewhere."""
    guarded: bool
    """True when only `python FILE` makes the call, and an import does not."""
    alone: bool
    """True when nothing else is done beside it, imports excepted."""
    app: str
    """Variable of the app that it serves; empty if it is another module's, or made in a call."""


@dataclass(frozen=True)
class Function:
    """A function at module level."""

    line: int
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """An environment variable that the module reads."""

    name: str
    required: bool
    """True when there is no default."""
    file: str
    line: int


@dataclass(frozen=True)
class Module:
    """A module, as far as its code tells."""

    path: str
    imports: frozenset[str]
    apps: tuple[App, ...]
    routes: tuple[AnsweredPath, ...]
    start: Start | None
    functions: dict[str, Function]
    keys: tuple[Key, ...]
    clients: frozenset[str]
    """AWS services that it asks boto3 for."""
    texts: frozenset[str]
    """Its constant texts of one word."""

    @property
    def name(self) -> str:
        """Dotted name from the user's folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def served_app(self) -> str:
        """Variable of the app that it serves, if it does nothing else when it runs; else empty.

        Any ASGI server can then serve that app. Other code, such as one that loads keys, would not
        run, and a start that an import makes would start the module's own server.
        """
        start = self.start
        return start.app if start and start.guarded and start.alone else ""

    def route(self, path: str) -> AnsweredPath | None:
        """Return the route of this path; None if it has none."""
        return next((route for route in self.routes if route.path == path), None)


def read_module(path: str, source: str) -> Module | None:
    """Return what a module says of itself; None if it is not valid Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    names = dict(_names(tree))
    made = dict(_made(tree, names))
    apps = tuple(
        App(name, line, _is_sdk(by)) for name, (by, line) in made.items() if by != _STARLETTE
    )
    module = path.removesuffix(".py").rpartition("/")[2]
    return Module(
        path=path,
        imports=frozenset(_imports(tree)),
        apps=apps,
        routes=tuple(_routes(tree, apps)),
        start=_start(tree, names, {name: by for name, (by, _) in made.items()}, module),
        functions={
            node.name: Function(node.lineno, tuple(each.arg for each in node.args.args))
            for node in tree.body
            if isinstance(node, _FUNCTIONS)
        },
        keys=tuple(_keys(tree, names, path)),
        clients=frozenset(_clients(tree, names)),
        texts=frozenset(
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if " " not in node.value
        ),
    )


def _names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the full name of each imported name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _full(node: ast.expr, names: dict[str, str]) -> str:
    """Return the full name of what an expression such as `os.environ` means; empty if unknown."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _full(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _made(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the variable of each app at module level, what makes it, and its line."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value:
            target, value = node.target, node.value
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(value, ast.Call):
            by = _full(value.func, names)
            if _is_sdk(by) or by in (_FASTAPI, _STARLETTE):
                yield target.id, (by, node.lineno)


def _is_sdk(made_by: str) -> bool:
    return made_by.endswith(f".{_SDK_APP}") and made_by.startswith("bedrock_agentcore")


def _routes(tree: ast.Module, apps: tuple[App, ...]) -> Iterator[AnsweredPath]:
    sdk = {app.variable for app in apps if app.sdk}
    for node in ast.walk(tree):
        if not isinstance(node, _FUNCTIONS):
            continue
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not isinstance(call, ast.Attribute):
                continue
            if isinstance(call.value, ast.Name) and call.value.id in sdk:
                if call.attr in _SDK_PATHS:
                    yield AnsweredPath(call.attr, _SDK_PATHS[call.attr])
            elif isinstance(decorator, ast.Call) and decorator.args:
                first = decorator.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield _answer(call.attr, first.value, node)


def _answer(method: str, path: str, function: ast.AST) -> AnsweredPath:
    status, stamped = "", False
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "time_of_last_update":
                    stamped = True
                if isinstance(key, ast.Constant) and key.value == "status":
                    constant = value.value if isinstance(value, ast.Constant) else ""
                    status = status or str(constant)
    return AnsweredPath(method, path, status, stamped)


def _start(
    tree: ast.Module, names: dict[str, str], made: dict[str, str], module: str
) -> Start | None:
    """Return the call that starts the server: the main guard's, if there are several."""
    runs = {f"{name}.run": "sdk.run" for name, by in made.items() if _is_sdk(by)}
    found: list[Start] = []
    for block, guarded in _blocks(tree):
        rest = [node for node in block if not isinstance(node, ast.Import | ast.ImportFrom)]
        for node in (node for statement in rest for node in ast.walk(statement)):
            if isinstance(node, ast.Call):
                own = _full(node.func, names)
                called = runs.get(own, own)
                if called in _DEFAULT_PORTS:
                    app = own.partition(".")[0] if called == "sdk.run" else _argument(node, module)
                    alone = len(rest) == 1 and _is_call(rest[0], node)
                    app = app if app in made else ""
                    found.append(_start_of(node, called, guarded, alone=alone, app=app))
    return replace(found[0], alone=found[0].alone and len(found) == 1) if found else None


def _is_call(statement: ast.stmt, call: ast.Call) -> bool:
    return isinstance(statement, ast.Expr) and statement.value is call


def _argument(call: ast.Call, module: str) -> str:
    """Return the variable of this module that `uvicorn.run` is given: `app`, or "module:app"."""
    match call.args[:1]:
        case [ast.Name(id=name)]:
            return name
        case [ast.Constant(value=str(text))] if text.startswith(f"{module}:"):
            return text.partition(":")[2]
        case _:
            return ""


def _blocks(tree: ast.Module) -> Iterator[tuple[list[ast.stmt], bool]]:
    """Yield the statements that run together, and whether an import leaves them out.

    First those of the main guard, with the functions that it calls; then the module's; then those
    of each other function.
    """
    functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS)}
    others: list[ast.stmt] = []
    for node in tree.body:
        test = ast.unparse(node.test) if isinstance(node, ast.If) else ""
        if isinstance(node, ast.If) and "__name__" in test and "__main__" in test:
            called = [functions.pop(_called(each), None) for each in node.body]
            parts = zip(node.body, called, strict=True)
            yield [each for own, other in parts for each in (other.body if other else [own])], True
        elif not isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
            others.append(node)
    yield others, False
    for function in functions.values():
        yield function.body, True


def _called(statement: ast.stmt) -> str:
    """Return the function that a statement such as `main()` calls."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=[], keywords=[])):
            return name
        case _:
            return ""


def _start_of(call: ast.Call, called: str, guarded: bool, alone: bool, app: str) -> Start:
    given = {each.arg: each.value for each in call.keywords}
    port, host = given.get("port"), given.get("host")
    number = port.value if isinstance(port, ast.Constant) else 0
    address = host.value if isinstance(host, ast.Constant) else ""
    return Start(
        port=_DEFAULT_PORTS[called] if port is None else int(str(number or 0)),
        host="127.0.0.1" if host is None else str(address),
        guarded=guarded,
        alone=alone,
        app=app,
    )


def _keys(tree: ast.Module, names: dict[str, str], path: str) -> Iterator[Key]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _full(node.value, names) == "os.environ":
            name, required = node.slice, isinstance(node.ctx, ast.Load)
            if not required:
                continue
        elif isinstance(node, ast.Call) and node.args:
            if _full(node.func, names) not in ("os.getenv", "os.environ.get"):
                continue
            name, required = node.args[0], len(node.args) + len(node.keywords) == 1
        else:
            continue
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield Key(name.value, required, path, node.lineno)


def _clients(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    boto3 = any(value.partition(".")[0] in _BOTO3 for value in names.values())
    for node in ast.walk(tree):
        if boto3 and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = [*node.args, *(k.value for k in node.keywords if k.arg == "service_name")]
            if node.func.attr in ("client", "resource", "create_client") and named:
                first = named[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value

"""Owns the check that bot.py, and the modules it imports, keep nothing that a snapshot must not.

It reads them without running them: what their statements outside of functions call and keep.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from voicecore.catalog.platforms import V2
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output
from voicecore.project.project import AGENT
from voicecore.project.snapshot_rules import KEY, KEY_RULE, RULES, SnapshotRule

BOT = "bot"
"""Module of the agent that its owner writes."""

SILENCE = re.compile(r"#\s*snapshot:\s*ok\b\W*\w")
"""Comment on a line that is right as it is, with the reason: `# snapshot: ok - reason`."""


class CannotRead(VoicecoreError):
    """A module of the agent is not valid Python."""


@dataclass(frozen=True)
class Finding:
    """A call whose result a snapshot must not contain."""

    file: str
    line: int
    what: str
    """Full name of what is called, such as boto3.client."""
    why: str
    instead: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.what} at module level\n  {self.why}\n  {self.instead}"
        )


class CapturesFound(VoicecoreError):
    """The agent's code keeps what a snapshot must not contain."""

    def __init__(self, found: Iterable[Finding]) -> None:
        head = "On platform V2, all sessions continue one snapshot of the agent, with this in it:"
        super().__init__(
            "\n".join([head, *map(str, found)]),
            "If a line is right as it is, end it with:  # snapshot: ok - REASON",
            ExitCode.BAD_PROJECT,
        )


@dataclass
class _Module:
    name: str
    file: str
    """Path from the folder of the project."""
    tree: ast.Module
    lines: list[str]
    names: dict[str, str] = field(default_factory=dict[str, str])
    """Full names of what it imports and defines, by the names that it uses."""
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict[str, ast.FunctionDef])


def check_snapshot(agent: Path) -> list[Finding]:
    """Return what bot.py in the folder `agent` and its modules would capture. Raises CannotRead."""
    modules = _modules(agent)
    found = [finding for module in modules.values() for finding in _check(module, modules)]
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def warn_of_captures(
    output: Output, agent: Path, platforms: Iterable[str], refuse: bool = False
) -> None:
    """Warn of what a snapshot would capture, if one of the stages runs on V2.

    With `refuse`, raise CapturesFound instead.
    """
    # This Python may be older than the agent's, and not know its syntax.
    with suppress(CannotRead):
        if V2 in platforms and (found := check_snapshot(agent)):
            error = CapturesFound(found)
            if refuse:
                raise error
            output.warn(f"{error.message}\n{error.hint}")


def _modules(agent: Path) -> dict[str, _Module]:
    """Return bot.py and all modules of the agent that it imports when it is loaded."""
    modules: dict[str, _Module] = {}
    waiting = [BOT]
    while waiting:
        name = waiting.pop()
        path = _path(agent, name)
        if name in modules or path is None:
            continue
        modules[name] = module = _read(name, path, agent)
        for statement in _loaded(module.tree.body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                imported = _imported(module, statement).values()
                # `from package import name` may name a module, and loads the package first.
                waiting += [part for full in imported for part in _prefixes(full)]
    return modules


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _path(agent: Path, name: str) -> Path | None:
    stem = agent.joinpath(*name.split("."))
    candidates = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _read(name: str, path: Path, agent: Path) -> _Module:
    file = f"{AGENT}/{path.relative_to(agent).as_posix()}"
    try:
        source = path.read_text("utf-8")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError) as error:
        reason = (
            f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        )
        message = f"Could not read {file}: {reason}."
        raise CannotRead(message, None, ExitCode.BAD_PROJECT) from error
    module = _Module(name, file, tree, source.splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.names |= _imported(module, node)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            module.functions[node.name] = node
            module.names[node.name] = f"{name}.{node.name}"
    return module


def _imported(module: _Module, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return the full names that an import makes known, by the names that it gives them."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
            for alias in node.names
        }
    package = module.name.split(".")
    if not module.file.endswith("/__init__.py"):
        package = package[:-1]
    base = package[: len(package) - node.level + 1] if node.level else []
    base += [node.module] if node.module else []
    return {alias.asname or alias.name: ".".join([*base, alias.name]) for alias in node.names}


def _loaded(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is loaded, in blocks and classes too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and re.search(
            r"TYPE_CHECKING|__name__", ast.unparse(statement.test)
        ):
            yield from _loaded(statement.orelse)
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from _loaded(getattr(statement, part, []))
        for block in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _loaded(block.body)


@dataclass(frozen=True)
class _Value:
    """An expression that is evaluated when a module is loaded."""

    expression: ast.expr
    kept: bool
    """True when its value outlives the statement."""


def _values(statement: ast.stmt) -> Iterator[_Value]:
    """Yield the expressions of a statement itself, not of the statements in it."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = statement.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default:
                yield _Value(default, kept=True)
        for decorator in statement.decorator_list:
            yield _Value(decorator, kept=True)
        return
    if isinstance(statement, ast.With | ast.AsyncWith):
        return  # closed at the end of the block
    kept = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.expr):
            named = any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(part))
            yield _Value(part, kept or named)


def _check(module: _Module, modules: dict[str, _Module]) -> Iterator[Finding]:
    for statement in _loaded(module.tree.body):
        for value in _values(statement):
            for node, what, rule in _captures(value, module, modules, frozenset()):
                own = module.lines[node.lineno - 1 : node.end_lineno]
                if not any(SILENCE.search(line) for line in own):
                    yield Finding(module.file, node.lineno, what, rule.why, rule.instead)


def _captures(
    value: _Value, module: _Module, modules: dict[str, _Module], within: frozenset[str]
) -> Iterator[tuple[ast.expr, str, SnapshotRule]]:
    """Yield the calls of an expression that a rule forbids, and their names.

    A function of the agent is followed to what it returns.
    """
    for node in _evaluated(value.expression):
        what = _called(node, module)
        for rule in RULES if what else ():
            whole = node is value.expression or not rule.whole
            if rule.calls.fullmatch(what) and whole and (value.kept or not rule.kept):
                yield node, what, rule
        if value.kept and KEY_RULE.calls.fullmatch(what) and (key := _key_in(node)):
            yield node, f"{what}, {key},", KEY_RULE
        if value.kept and what not in within and isinstance(node, ast.Call):
            owner, _, name = what.rpartition(".")
            function = modules[owner].functions.get(name) if owner in modules else None
            for result in _returned(function) if function else ():
                inner = _Value(result, kept=True)
                for _, deeper, rule in _captures(inner, modules[owner], modules, within | {what}):
                    yield node, f"{deeper}, through {name}(),", rule


def _evaluated(expression: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of an expression that run with it: not the bodies of its functions."""
    yield expression
    if isinstance(expression, ast.Lambda):
        return
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield from _evaluated(child)
        elif isinstance(child, ast.keyword):
            yield from _evaluated(child.value)
        elif isinstance(child, ast.comprehension):
            yield from _evaluated(child.iter)


def _called(node: ast.expr, module: _Module) -> str:
    """Return the full name of what is called or subscripted; empty for anything else."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
    elif isinstance(node, ast.Subscript):
        name = ast.unparse(node.value)
    else:
        return ""
    first, dot, rest = name.partition(".")
    return module.names.get(first, first) + dot + rest


def _key_in(node: ast.expr) -> str:
    """Return the variable that is read from the environment if its name is that of a secret."""
    names = [node.slice] if isinstance(node, ast.Subscript) else []
    names += node.args[:1] if isinstance(node, ast.Call) else []
    found = [str(name.value) for name in names if isinstance(name, ast.Constant)]
    return next(filter(KEY.fullmatch, found), "")


def _returned(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield what a function returns: expressions, and the values of returned variables."""
    statements = list(_loaded(function.body))
    results = [s.value for s in statements if isinstance(s, ast.Return) and s.value]
    yield from results
    names = {result.id for result in results if isinstance(result, ast.Name)}
    for statement in statements:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in statement.targets
        ):
            yield statement.value

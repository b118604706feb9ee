"""Owns mutations: small faults in a module's code, each of which its tests should notice."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

_SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
# Types, which nothing evaluates, and arguments of decorators.
_NOT_RUN = ("annotation", "returns", "decorator_list", "type_params")
_SHOWN = 80
"""Characters of a piece of code in the description of a change."""
# A list of actions; prose has words without capitals.
_WORDS = re.compile(r"\s*(?:[A-Z][A-Za-z0-9]+\s+){2,}[A-Z][A-Za-z0-9]+\s*")


@dataclass(frozen=True)
class Mutation:
    """One fault."""

    line: int
    change: str
    """The function that it is in, and the code before and after."""
    tree: ast.Module
    put: Callable[[ast.AST], None]
    old: ast.AST
    new: ast.AST

    def source(self) -> str:
        """Return the module with this fault."""
        self.put(self.new)
        try:
            return ast.unparse(self.tree)
        finally:
            self.put(self.old)


def mutations(source: str) -> Iterator[Mutation]:
    """Yield all mutations of a module."""
    tree = ast.parse(source)
    for scope, field, old, put in _places(tree, ""):
        changed = ((f"{_short(old)} → {_short(new)}", new) for new in _changed(field, old))
        shortened = ((f"without {_short(gone)}", new) for gone, new in _shortened(old))
        for change, new in (*changed, *shortened):
            yield Mutation(getattr(old, "lineno", 0), f"{scope}{change}", tree, put, old, new)


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:_SHOWN]


Place = tuple[str, str, ast.AST, Callable[[ast.AST], None]]


def _places(tree: ast.AST, scope: str) -> Iterator[Place]:
    """Yield each node that runs: its function, its field, itself, and what replaces it."""
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        scope = f"{tree.name}: "
    for name, value in ast.iter_fields(tree):
        if name in _NOT_RUN or (name == "slice" and isinstance(value, ast.Tuple)):
            continue
        if isinstance(value, ast.AST):
            yield scope, name, value, partial(setattr, tree, name)
            yield from _places(value, scope)
        if isinstance(value, list):
            items = cast("list[object]", value)
            for index, each in enumerate(items):
                if isinstance(each, ast.AST) and not _is_left_out(each):
                    yield scope, name, each, partial(items.__setitem__, index)
                    yield from _places(each, scope)


def _is_left_out(node: ast.AST) -> bool:
    match node:
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.Expr(ast.Constant()):  # types, docstrings
            return True
        case _:
            return isinstance(node, ast.FormattedValue)  # of messages


def _changed(field: str, node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a careless change could leave in place of this node."""
    if field in ("test", "ifs"):  # a check is gone
        yield ast.Constant(field == "ifs")
    match node:
        case ast.Compare(left, [operator], right) if type(operator) in _SWAPPED:
            yield ast.Compare(left, [_SWAPPED[type(operator)]()], right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(_SWAPPED[type(operator)](), values)
        case ast.BinOp(left, operator, right) if type(operator) in _SWAPPED:
            if not isinstance(left, ast.JoinedStr) and not isinstance(right, ast.JoinedStr):
                yield ast.BinOp(left, _SWAPPED[type(operator)](), right)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(str(value)) if re.search(r"[-/:]\*", value):  # a wider resource
            yield ast.Constant(re.sub(r"[-/:]\*", "*", value, count=1))
        case ast.Constant(str(value)) if field == "value":
            yield from map(ast.Constant, _less(value))
        case ast.Raise() | ast.Expr(ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case _:
            pass


def _shortened(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield each element that a list could lack, or argument that a call could, with the rest."""
    match node:
        case ast.Tuple(elements, ast.Load()) | ast.List(elements, ast.Load()) | ast.Set(elements):
            for n in range(len(elements)) if len(elements) > 1 else ():
                rest = elements[:n] + elements[n + 1 :]
                new = ast.Set(rest) if isinstance(node, ast.Set) else type(node)(rest, ast.Load())
                yield elements[n], new
        case ast.Call(function, arguments, keywords) if not _constructs(function):
            for keyword in keywords:
                rest = [each for each in keywords if each is not keyword]
                yield keyword, ast.Call(function, arguments, rest)
        case _:
            pass


def _constructs(function: ast.expr) -> bool:
    """Return whether this is a class, most of whose arguments are required."""
    return ast.unparse(function).rpartition(".")[2].lstrip("_")[:1].isupper()


def _less(text: str) -> Iterator[str]:
    """Yield a list of words, or a pattern of alternatives, without one of them."""
    if _WORDS.fullmatch(text):
        words = text.split()
        yield from (" ".join(words[:n] + words[n + 1 :]) for n in range(len(words)))
    parts = text.split("|")
    if len(parts) > 2 and all(part.count("(") == part.count(")") for part in parts):
        yield from ("|".join(parts[:n] + parts[n + 1 :]) for n in range(len(parts)))

"""Owns acting on a module right after its import."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Act = Callable[[ModuleType], None]


class _AfterImport(MetaPathFinder):
    """Finds the modules as without it, and calls a function when one is imported."""

    def __init__(self, acts: dict[str, Act]) -> None:
        self._acts = acts

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        act = self._acts.pop(fullname, None)
        spec = importlib.util.find_spec(fullname) if act else None
        if spec is None or spec.loader is None or act is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            act(module)

        spec.loader.exec_module = execute_and_act
        return spec


def after_import(acts: dict[str, Act]) -> None:
    """Call each function with its module, once that is imported."""
    sys.meta_path.insert(0, _AfterImport(dict(acts)))

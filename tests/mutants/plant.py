"""Owns the process that runs a module's tests against many versions of the module.

A script that needs only pytest, so that it also runs in the environment of a generated project:
`plant.py MODULE TEST…`. It reads a version per line, as JSON, and writes the exit code of pytest
for each, after that of the module itself with the CPU time. Each version has a fork of the process,
in which everything else is imported already: this takes a third of the time.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path.cwd()
# Limits of a run, for versions that loop or wait for ever.
CPU_SECONDS, SECONDS = 20, 300


class Planted(SourceFileLoader):
    """Loads a version of a module."""

    source: str

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


class Finder(MetaPathFinder):
    """Finds this version in place of the module."""

    def __init__(self, module: Path, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin != str(self._module):
            return None
        spec.loader = Planted(fullname, str(self._module))
        spec.loader.source = self._source
        return spec


def run(tests: list[str]) -> int:
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def run_planted(module: Path, source: str, tests: list[str]) -> int:
    """Run the tests in a fork with this version; return pytest's exit code, or minus a signal."""
    if process := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    signal.alarm(SECONDS)
    for name, each in list(sys.modules.items()):
        place = getattr(each, "__file__", None) or ""
        if place.startswith(str(ROOT)) and "site-packages" not in place and name != "__main__":
            del sys.modules[name]
    sys.meta_path.insert(0, Finder(module, source))
    os._exit(run(tests))


def main(module: str, *tests: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    sys.path[0] = str(ROOT)
    print(run([*tests]), f"{time.process_time():.1f}", file=answers)
    for line in sys.stdin:
        print(run_planted(ROOT / module, json.loads(line), [*tests]), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

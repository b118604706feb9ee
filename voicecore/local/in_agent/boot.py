"""Starts an agent so that it can be frozen and restored: `python boot.py -m internal.app`.

The agent then runs as without it: `-m` and a path mean what they mean to Python. The agent's
environment has no voicecore, so this file loads its own folder as a package.
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import sys
from pathlib import Path

_PACKAGE = "voicecore_in_agent"


def main() -> None:
    """Prepare the interpreter, then run what the command line names as `__main__`."""
    here = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"Could not load {here}")
    sys.modules[_PACKAGE] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    importlib.import_module(f"{_PACKAGE}.snapshot").install()
    first, *rest = sys.argv[1:]
    if first == "-m":
        sys.path[0] = str(Path.cwd())
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(first).absolute().parent)
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()

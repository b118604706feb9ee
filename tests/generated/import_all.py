"""Imports the modules in a folder of packages; prints, as JSON, what each failed import lacks.

Run it as `python -S import_all.py FOLDER [MODULE…]`; -S hides all other packages. Without names it
imports every module.
"""

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def modules_in(folder: Path) -> list[str]:
    names: set[str] = set()
    for path in [*folder.rglob("*.py"), *folder.rglob("*.so")]:
        stem = path.name.split(".")[0]
        parts = [*path.relative_to(folder).parent.parts, *([stem] if stem != "__init__" else [])]
        if parts and all(part.isidentifier() for part in parts) and stem != "__main__":
            names.add(".".join(parts))
    return sorted(names)


def missing_modules(error: BaseException | None) -> Iterator[str]:
    """Yield the missing modules that caused `error`."""
    while error:
        if isinstance(error, ModuleNotFoundError) and error.name:
            yield error.name
        error = error.__cause__ or error.__context__


def main(folder: Path, *names: str) -> None:
    sys.path.insert(0, str(folder))
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    failed: dict[str, list[str]] = {}
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        for name in names or modules_in(folder):
            try:
                importlib.import_module(name)
            except BaseException as error:
                failed[name] = [*missing_modules(error)] or [f"{type(error).__name__}: {error}"]
    print(json.dumps(failed))
    sys.stdout.flush()
    os._exit(0)  # some modules leave threads running


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

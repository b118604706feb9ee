"""Make a folder of the image small, fast to import, and reproducible.

    python prune.py packages DIR     # the packages that uv installed: /opt/packages in the image
    python prune.py library DIR      # Python's own modules, whose bytecode the base image lacks
    python prune.py code DIR         # your code: /app in the image

The Dockerfile runs it, and so does `voicecore build` without Docker, with the Python version of the
image, because bytecode depends on it. The lists below say what is removed; change them as you like.
"""

from __future__ import annotations

import compileall
import csv
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

# Files of packages that no running code reads. `**/` matches any depth.
FROM_PACKAGES = (
    ".lock",  # uv's
    "bin",  # commands, which call the Python that installed them
    "**/__pycache__",  # rewritten below
    "**/tests",
    "**/*.pyi",  # types, for editors
    "**/*.pxd",  # sources of compiled modules
    "**/*.pyx",
    "botocore/data/*/*/examples-*",  # documentation
)

# Python's own modules that nothing here imports.
FROM_LIBRARY = (
    "_sysconfigdata_*",  # to compile extensions, like the next
    "config-*",
    "site-packages",
    "test",
    "**/__pycache__",
    "**/*test*/",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "tkinter",
    "turtledemo",
)

# Files of your code that only the build reads.
FROM_CODE = (
    ".dockerignore",
    "Dockerfile",
    "internal/README.md",
    "internal/prune.py",
    "uv.lock",
    "**/__pycache__",
)

# Python's environment for the same bytecode each time. The hash seed decides the order of a set's
# members, which bytecode contains. Without the columns of each instruction it is a quarter smaller;
# tracebacks still show the line, but no ^^^^ below it.
PYTHON = {"PYTHONHASHSEED": "0", "PYTHONNODEBUGRANGES": "1"}

# From this many modules on, compiling with all cores is faster.
MANY_MODULES = 50

# The module that you edit most has its own layer: a change then sends a few kilobytes.
CHANGES_MOST = "bot"


def packages(folder: Path) -> None:
    """Prune installed packages, and list them in PACKAGES.json, largest first."""
    remove(folder, FROM_PACKAGES)
    update_records(folder)
    compile_for("/opt/packages", folder)
    listed = json.dumps(sizes(folder), indent=1)
    (folder / "PACKAGES.json").write_text(f"{listed}\n", "utf-8")
    normalize(folder)


def library(folder: Path) -> None:
    """Replace Python's own modules by their bytecode, which makes a start a second faster."""
    remove(folder, FROM_LIBRARY)
    for path in folder.rglob("*"):
        if path.is_symlink():
            path.unlink()  # its target is not here
    compile_for(f"/usr/local/lib/{folder.name}", folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.suffix != ".pyc":
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()  # some engines keep empty folders, some do not
    normalize(folder)


def code(folder: Path) -> None:
    """Prune your code, and move the module that changes most into a folder of its own."""
    remove(folder, FROM_CODE)
    compile_for("/app", folder)
    beside = folder.parent / CHANGES_MOST
    beside.mkdir()
    for file in [*folder.glob(f"{CHANGES_MOST}.py"), *folder.glob(f"__pycache__/{CHANGES_MOST}.*")]:
        target = beside / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    normalize(folder)
    normalize(beside)


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Delete files and folders that match a pattern."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern), reverse=True):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def update_records(folder: Path) -> None:
    """Drop removed files from each package's RECORD, which also names the building machine's."""
    for record in folder.glob("*.dist-info/RECORD"):
        with record.open(newline="") as file:
            rows = [row for row in csv.reader(file) if (folder / row[0]).exists()]
        with record.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(sorted(rows))


def compile_for(destination: str, folder: Path) -> None:
    """Write the bytecode of the modules in `folder`, which is `destination` in the image.

    A module that does not compile, for example one for another Python, fails when imported.
    """
    compileall.compile_dir(
        folder,
        quiet=2,
        stripdir=str(folder),
        prependdir=destination,
        # Starting a process per core takes longer than compiling a few files.
        workers=0 if len(list(folder.rglob("*.py"))) > MANY_MODULES else 1,
        # Python must not compare times: all sources have the time 0.
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def sizes(folder: Path) -> list[dict[str, str | int]]:
    """Return the size of each installed package in bytes, largest first."""
    from importlib.metadata import distributions  # slow to import, and not needed for the code

    found = [
        {"name": package.name, "version": package.version, "bytes": size_of(package)}
        for package in distributions(path=[str(folder)])
    ]
    return sorted(found, key=lambda package: (-int(package["bytes"]), package["name"]))


def size_of(package: Distribution) -> int:
    """Return the size of a package's files and their bytecode."""
    files = {Path(str(file.locate())) for file in package.files or ()}
    tag = sys.implementation.cache_tag
    files |= {
        file.parent / "__pycache__" / f"{file.stem}.{tag}.pyc"
        for file in files
        if file.suffix == ".py"
    }
    return sum(file.stat().st_size for file in files if file.is_file())


def normalize(folder: Path) -> None:
    """Set the time 0 and standard permissions, so that equal content gives equal layers."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (0, 0), follow_symlinks=False)


if __name__ == "__main__":
    if not PYTHON.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PYTHON)
    step, directory = sys.argv[1:]
    {"packages": packages, "library": library, "code": code}[step](Path(directory).resolve())

"""Makes a folder of the image small, fast to import, and the same whenever it is built.

    python slim.py packages DIR     # what uv has installed; the image has it as /opt/packages
    python slim.py code DIR         # these files; the image has them as /app

The Dockerfile runs this, and so does `voicecore build` where there is no Docker, each with the
Python that the image has: bytecode is of one version. What it removes is listed below and yours
to change.
"""

from __future__ import annotations

import compileall
import json
import os
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path
from py_compile import PycInvalidationMode

# Of packages: what no running agent reads. `**/` is any depth.
FROM_PACKAGES = (
    "bin",  # commands, with the path of the Python that installed them
    ".lock",  # uv's
    "**/__pycache__",  # written anew below
    "**/tests",
    "**/*.pyi",  # types, for editors
    "**/*.pxd",  # sources of compiled modules
    "**/*.pyx",
    "numpy/f2py",  # a compiler of Fortran
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/random/lib",
    "onnxruntime/capi/libonnxruntime.so.*",  # for programs in C; Python has its own
)

# Of the code: what only the build reads.
FROM_CODE = ("Dockerfile", ".dockerignore", "slim.py", "uv.lock", "**/__pycache__")


def packages(folder: Path) -> None:
    """Slim installed packages, and list them in PACKAGES.json, the largest first."""
    remove(folder, FROM_PACKAGES)
    compile_for("/opt/packages", folder)
    listed = json.dumps(sizes(folder), indent=1)
    (folder / "PACKAGES.json").write_text(f"{listed}\n", "utf-8")
    normalise(folder)


def code(folder: Path) -> None:
    """Slim the agent's own files."""
    remove(folder, FROM_CODE)
    compile_for("/app", folder)
    normalise(folder)


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Delete what matches a pattern, and what is in it."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern), reverse=True):
            if path.is_dir() and not path.is_symlink():
                remove(path, ("*",))
                path.rmdir()
            else:
                path.unlink()


def compile_for(place: str, folder: Path) -> None:
    """Write bytecode of the modules in `folder`, which the image will have in `place`.

    `unchecked-hash`: Python then trusts it whatever the time of the source, which is 0 for all.
    A module that does not compile, as one for another Python, is left to fail when imported.
    """
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=0,  # one for each core
        stripdir=str(folder),
        prependdir=place,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def sizes(folder: Path) -> list[dict[str, str | int]]:
    """What each installed package takes of the folder, in bytes."""
    found = [
        {"name": package.name, "version": package.version, "bytes": size_of(package)}
        for package in distributions(path=[str(folder)])
    ]
    return sorted(found, key=lambda package: (-int(package["bytes"]), package["name"]))


def size_of(package: Distribution) -> int:
    """The bytes of a package's files and of their bytecode."""
    files = {Path(str(file.locate())) for file in package.files or ()}
    tag = sys.implementation.cache_tag
    files |= {
        file.parent / "__pycache__" / f"{file.stem}.{tag}.pyc"
        for file in files
        if file.suffix == ".py"
    }
    return sum(file.stat().st_size for file in files if file.is_file())


def normalise(folder: Path) -> None:
    """Give each file the time 0 and the rights of its kind, so that equal content is equal."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (0, 0), follow_symlinks=False)
    folder.chmod(0o755)
    os.utime(folder, (0, 0))


if __name__ == "__main__":
    step, directory = sys.argv[1:]
    {"packages": packages, "code": code}[step](Path(directory).resolve())

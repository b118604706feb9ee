"""Python's own modules, out of a base image: what their bytecode is compiled from.

Official Python images delete that bytecode to be small (docker-library/python, Dockerfile-linux),
and an agent may not write it: each start would compile what it imports, for a second or two.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from voicecore.console.errors import ExitCode, VoicecoreError


class NoLibrary(VoicecoreError):
    """The base has no Python where official images have it."""


def library_of(python: str) -> PurePosixPath:
    """Where an official image has the modules of its Python ("3.13"), without the leading slash."""
    return PurePosixPath("usr/local/lib") / f"python{python}"


def extract(layers: Sequence[Path], python: str, folder: Path) -> None:
    """Write the modules of `python` into `folder`, from a base's layers, lowest first.

    Raises NoLibrary.
    """
    home = library_of(python)
    for layer in layers:
        try:
            # As a stream: the members lie in the order they are read in.
            with tarfile.open(layer, "r|*") as tar:
                for member in tar:
                    path = PurePosixPath(member.name)
                    if path.is_relative_to(home) and ".." not in path.parts:
                        _place(tar, member, folder / path.relative_to(home))
        except tarfile.ReadError as error:
            why = "its layers are compressed in a way that only Docker reads"
            raise _no_library(python, why) from error
    if not (folder / "os.py").exists():
        raise _no_library(python, f"it has nothing in /{home}")


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one module; a whiteout removes what a lower layer has (image-spec, layer.md)."""
    if path.name == ".wh..wh..opq":
        shutil.rmtree(path.parent, ignore_errors=True)
    elif path.name.startswith(".wh."):
        removed = path.with_name(path.name.removeprefix(".wh."))
        if removed.is_dir():
            shutil.rmtree(removed)
        else:
            removed.unlink(missing_ok=True)
    elif member.isfile() and path.suffix == ".py":
        content = tar.extractfile(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read() if content else b"")


def _no_library(python: str, why: str) -> NoLibrary:
    return NoLibrary(
        f"The modules of Python {python} are not to be had from the base image: {why}.",
        "Build with Docker:  voicecore build --builder buildx",
        ExitCode.BAD_PROJECT,
    )

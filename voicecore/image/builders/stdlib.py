"""Owns Python's standard library in a base image, extracted to compile its bytecode.

Official Python images delete that bytecode to be small (docker-library/python, Dockerfile-linux),
and an agent has no permission to write it: each start would compile what it imports, for a second
or two.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from voicecore.console.errors import DISK_FULL, ExitCode, VoicecoreError

_UNPACKED_MAX = 10 * 2**30
"""Limit for the files of a base; compressed, they may be tiny."""


class StdlibMissing(VoicecoreError):
    """The base image has no Python where official images have it."""


def stdlib_folder(python: str) -> PurePosixPath:
    """Return the folder of the standard library in an official image of Python `python` ("3.13").

    It has no leading slash.
    """
    return PurePosixPath("usr/local/lib") / f"python{python}"


def extract(layers: Sequence[Path], python: str, folder: Path) -> None:
    """Write the standard library's modules into `folder`, from a base's layers, lowest first.

    Raises StdlibMissing.
    """
    home = stdlib_folder(python)
    unpacked = 0
    for layer in layers:
        try:
            # As a stream, because the members are read in order.
            with tarfile.open(layer, "r|*") as tar:
                for member in tar:
                    unpacked += member.size
                    if unpacked > _UNPACKED_MAX:
                        raise _missing(python, f"it has more than {_UNPACKED_MAX >> 30} GB")
                    path = PurePosixPath(member.name)
                    if path.is_relative_to(home) and ".." not in path.parts:
                        _apply(tar, member, folder / path.relative_to(home))
        except tarfile.ReadError as error:
            why = "only Docker can read the compression of its layers"
            raise _missing(python, why) from error
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise _missing(python, f"a layer is damaged: {error}") from error
        except OSError as error:  # such as a file where another layer has a folder
            if error.errno in DISK_FULL:
                raise
            raise _missing(python, f"its layers contradict each other: {error}") from error
    if not (folder / "os.py").exists():
        raise _missing(python, f"it has nothing in /{home}")


def _apply(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one module, or delete what a whiteout deletes (image-spec, layer.md)."""
    if path.name == ".wh..wh..opq":
        shutil.rmtree(path.parent, ignore_errors=True)
    elif path.name.startswith(".wh."):
        name = path.name.removeprefix(".wh.")
        removed = path.parent / name
        if name in ("", ".", ".."):
            return  # not a file of this folder
        if removed.is_dir():
            shutil.rmtree(removed)
        else:
            removed.unlink(missing_ok=True)
    elif member.isfile() and path.suffix == ".py":
        content = tar.extractfile(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read() if content else b"")


def _missing(python: str, why: str) -> StdlibMissing:
    return StdlibMissing(
        f"Could not read the standard library of Python {python} from the base image: {why}.",
        "Build with Docker:  voicecore build --builder buildx",
        ExitCode.BAD_PROJECT,
    )

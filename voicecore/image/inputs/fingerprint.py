"""What goes into an image and what it is therefore called: a function of files, nothing else."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from docker.utils.build import (  # pyright: ignore[reportMissingTypeStubs]
    exclude_paths,  # pyright: ignore[reportUnknownVariableType]
)

from voicecore import __version__
from voicecore.image.model import Base

RECIPE = 1
"""How builders put an image together; a change of it gives every image a new tag."""

DOCKERFILE = "Dockerfile"
IGNORE_FILE = ".dockerignore"

# Hexadecimal digits of a tag: 80 bits, which no project's history exhausts.
_TAG_DIGITS = 20

# Inputs of the packages; an edit of any other file leaves their layer as it is.
_PACKAGE_INPUTS = ("pyproject.toml", "uv.lock", "internal/prune.py")


@dataclass(frozen=True)
class ContextFile:
    """A file that the builder is given, as far as it matters to the image."""

    path: str
    """Relative to the agent's folder, with forward slashes."""
    executable: bool
    sha256: str
    """Of its content; of the target, for a symbolic link."""


def context_of(agent: Path) -> list[ContextFile]:
    """The files of `agent/` that its .dockerignore lets through, sorted, as Docker reads it."""
    ignore = agent / IGNORE_FILE
    patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    wanted = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    # With the Dockerfile and the .dockerignore in any case, as Docker sends them.
    found: Iterable[str] = exclude_paths(str(agent), wanted, dockerfile=DOCKERFILE)
    paths = sorted(Path(name).as_posix() for name in found)
    return [_described(agent, name) for name in paths if not _is_folder(agent / name)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _described(agent: Path, name: str) -> ContextFile:
    path = agent / name
    if path.is_symlink():
        target = hashlib.sha256(str(path.readlink()).encode())
        return ContextFile(name, executable=False, sha256=target.hexdigest())
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    return ContextFile(name, bool(path.stat().st_mode & stat.S_IXUSR), content.hexdigest())


def with_content(files: Sequence[ContextFile], path: str, text: str) -> list[ContextFile]:
    """`files` as they would be if the file at `path` read `text`."""
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return [replace(file, sha256=sha256) if file.path == path else file for file in files]


def fingerprint(files: Sequence[ContextFile], base_digest: str) -> str:
    """The image's tag: the same for the same files, base and recipe, on every machine."""
    return _digest(files, base_digest)[:_TAG_DIGITS]


def packages_key(files: Sequence[ContextFile], base_digest: str) -> str:
    """What the packages' layer is kept under: a function of their inputs alone."""
    return _digest([file for file in files if file.path in _PACKAGE_INPUTS], base_digest)


def library_key(files: Sequence[ContextFile], base_digest: str) -> str:
    """What the layer of Python's own bytecode is kept under."""
    return _digest([file for file in files if file.path == "internal/prune.py"], base_digest)


def _digest(files: Sequence[ContextFile], base_digest: str) -> str:
    lines = [f"recipe {RECIPE}", f"base {base_digest}"]
    lines += [f"{'x' if f.executable else '-'} {f.sha256} {f.path}" for f in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def labels(name: str, version: str, revision: str | None, base: Base, tag: str) -> dict[str, str]:
    """The image's labels: OCI's names (opencontainers/image-spec, annotations.md), and ours.

    `revision` is the commit of the project, if it has one.
    """
    values = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision or "",
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.digest,
        "io.voicecore.version": __version__,
        "io.voicecore.fingerprint": tag,
    }
    return {name: value for name, value in values.items() if value}


def epoch_of(base: Base) -> int:
    """When the image was "made", in seconds since 1970: when its base was.

    So that the same inputs give the same image; builders call it SOURCE_DATE_EPOCH
    (reproducible-builds.org/specs/source-date-epoch).
    """
    return int(datetime.fromisoformat(base.created).timestamp()) if base.created else 0


def age_of(base: Base, now: datetime) -> int | None:
    """Days since the base was made; None if it does not say."""
    return (now - datetime.fromisoformat(base.created)).days if base.created else None

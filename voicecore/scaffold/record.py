"""Owns the record of what was generated: `.voicecore/generated.zip` of a project, to be committed.

`voicecore update` compares with it: without it, your edits cannot be told from older templates. It
has the text of each generated file; of built files and sounds, which cannot be merged, the SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project.no_links import within
from voicecore.scaffold.render import SECRET_FILES, Files

PATH = ".voicecore/generated.zip"

_LINE_MAX = 1000
"""Longest line of a text that people edit; minified scripts have longer ones."""

_SIZE_MAX = 50_000_000
"""Bytes that a record is read up to: a cloned project can contain any file."""

_DIGEST = b"sha256:"


class BadRecord(VoicecoreError):
    """The record cannot be read."""


def packed(files: Files) -> bytes:
    """Return the record of generated files. It never has secrets."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(recorded(files).items()):
            # ZipInfo has no time, so that the same files give the same bytes.
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def write(root: Path, files: Files) -> None:
    """Record the generated files of a project. Raises OSError and LinkRefused."""
    with open(root / PATH, "wb", opener=within(root, mode=0o666)) as file:
        file.write(packed(files))


def recorded(files: Files) -> Files:
    """Return the content of the record, by path."""
    return {
        path: content if is_text(content) else _digest_of(content)
        for path, content in files.items()
        if path not in SECRET_FILES
    }


def read(root: Path) -> Files | None:
    """Return the content of a project's record; None if it has none. Raises BadRecord."""
    try:
        with zipfile.ZipFile(root / PATH) as archive:
            if sum(each.file_size for each in archive.infolist()) > _SIZE_MAX:
                raise zipfile.BadZipFile("too large")
            files = {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError:
        return None
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise _bad_record(root, str(error)) from error
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise _bad_record(root, f"{name} is outside the project")
    return files


def is_text(content: bytes) -> bool:
    """Return whether the content can be merged by lines."""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        return False
    return max(map(len, lines), default=0) <= _LINE_MAX


def is_of(recorded: bytes, content: bytes) -> bool:
    """Return whether a file with this content is as recorded."""
    return recorded in (content, _digest_of(content))


def is_digest(recorded: bytes) -> bool:
    """Return whether the record has only the SHA-256 of a file."""
    return recorded.startswith(_DIGEST)


def _digest_of(content: bytes) -> bytes:
    return _DIGEST + hashlib.sha256(content).hexdigest().encode()


def _bad_record(root: Path, reason: str) -> BadRecord:
    return BadRecord(
        f"Could not read {root / PATH}: {reason}.",
        f"Restore the committed one:  git checkout -- {PATH}",
        ExitCode.BAD_PROJECT,
    )

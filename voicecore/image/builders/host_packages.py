"""Owns the packages that only this machine can get: it installs them, for every builder.

They come from your own index (with its login, from wherever uv takes it), from git or a folder, or
have no hash to check. uv installs them for arm64 into one archive, which is part of the build
context; requirements.txt beside it has all other packages. The Dockerfile takes both.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.uv_program import uv_program
from voicecore.image.blob_store import blob_path, disk_full_explained, replacing, write_atomically
from voicecore.image.builders.copy_layers import python_path
from voicecore.image.builders.packages import (
    INTO_IMAGE,
    find_python,
    install_error,
    run_program,
)
from voicecore.image.builders.packing import write_tar
from voicecore.image.inputs.build_context import ARCHIVE, REQUIREMENTS, ContextFile
from voicecore.image.inputs.locked_packages import (
    InstallTarget,
    best_wheel,
    dotted,
    entries_of,
    has_folders,
    is_everywhere,
    packages_for,
    root_of,
)
from voicecore.image.inputs.lockfile import login_refused

# Written by uv: paths of this machine, times, and commands that call the Python of this machine.
_OF_THIS_MACHINE = (
    ".lock",
    "bin",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_build.json",
    "*.dist-info/uv_cache.json",
)


class NotForArm(VoicecoreError):
    """A package of this machine builds a wheel for this machine only."""


@dataclass(frozen=True)
class HostPackages:
    """Packages to install here for one image."""

    agent: Path
    lock: Mapping[str, Any]
    key: str
    """Hash of the lockfile and the target."""
    target: InstallTarget

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Names of the packages to install here, and of all others."""
        root = root_of(self.lock)
        entries = [entry for entry in entries_of(self.lock) if entry is not root]
        here = {str(entry["name"]) for entry in entries if not is_everywhere(entry)}
        return sorted(here), sorted({str(entry["name"]) for entry in entries} - here)

    @property
    def built(self) -> list[str]:
        """Names of the packages that have no wheel, so that uv builds one."""
        return [
            package.name
            for package in packages_for(self.lock, self.target)
            if not package.everywhere and not best_wheel(package.wheels, self.target)
        ]


def install_here(
    wanted: HostPackages, in_workspace: bool, env: Mapping[str, str], store: Path
) -> list[ContextFile]:
    """Install the packages that only this machine can get; return the files for the context.

    None without such packages, unless the lockfile is `in_workspace`, where no builder sees it.
    Raises NotForArm, PackageInstallFailed, PythonMissing and DiskFull.
    """
    if not wanted.names[0] and not in_workspace:
        return []
    record = store / "host" / f"{wanted.key}.json"
    known = None if has_folders(wanted.lock, wanted.target) else _read_record(record, store)
    store.mkdir(parents=True, exist_ok=True)
    digests = known or asyncio.run(_install(wanted, env, store))
    if not known:
        write_atomically(record, json.dumps(digests).encode())
    return [
        ContextFile(path, False, digest.removeprefix("sha256:"), blob_path(store, digest))
        for path, digest in digests.items()
    ]


def _read_record(record: Path, store: Path) -> dict[str, str] | None:
    """Return the digest of each file if the store still has it."""
    try:
        found: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
        for digest in found.values():
            os.utime(blob_path(store, digest))  # marks it as used
    except (OSError, ValueError, AttributeError):
        return None  # missing, evicted, or written by another version of voicecore
    return found


async def _install(wanted: HostPackages, env: Mapping[str, str], store: Path) -> dict[str, str]:
    here, others = wanted.names
    python = await find_python(dotted(wanted.target.python), env, python_path(store))
    with (
        disk_full_explained(store),
        tempfile.TemporaryDirectory(dir=store, prefix="work-") as temporary,
    ):
        folder = Path(temporary) / "packages"
        requirements = Path(temporary) / "requirements.txt"
        await _export(wanted, here, "requirements.txt", requirements, env)
        files = {REQUIREMENTS: _store(requirements, store)}
        if here:
            pylock = Path(temporary) / "pylock.toml"
            await _export(wanted, others, "pylock.toml", pylock, env)
            await _install_into(folder, wanted, pylock, python, env)
            folder.mkdir(exist_ok=True)  # none is for arm64
            _remove_traces(folder)
            archive = Path(temporary) / "packages.tar"
            with archive.open("wb") as file:
                write_tar(folder, "", file, lambda done: None)
            files[ARCHIVE] = _store(archive, store)
    return files


async def _export(
    wanted: HostPackages, without: Sequence[str], form: str, path: Path, env: Mapping[str, str]
) -> None:
    omitted = (word for name in without for word in ("--no-emit-package", name))
    command = ["export", "--quiet", "--frozen", "--no-dev", "--no-editable", "--no-header"]
    command += ["--no-annotate", "--format", form, "--output-file", str(path), *omitted]
    code, output = await run_program([uv_program(), *command], wanted.agent, env)
    if code:
        raise _explained(output, wanted.agent, path.parent)


async def _install_into(
    folder: Path, wanted: HostPackages, pylock: Path, python: Path, env: Mapping[str, str]
) -> None:
    # A changed folder has the same version; uv would install what it built before.
    built = (word for name in wanted.built for word in ("--no-binary", name))
    refreshed = (word for name in wanted.built for word in ("--refresh-package", name))
    command = ["pip", "install", "--preview-features", "pylock", "--requirements", str(pylock)]
    command += [*INTO_IMAGE, "--only-binary", ":all:", *built, *refreshed]
    command += ["--no-deps", "--python", str(python), "--target", str(folder)]
    code, output = await run_program([uv_program(), *command], wanted.agent, env)
    if code:
        raise _explained(output, wanted.agent, folder)


def _explained(output: str, agent: Path, folder: Path) -> VoicecoreError:
    """Return the error for uv's output when it could not install into `folder`."""
    if known := _not_for_arm(output, agent) or login_refused(output):
        return known
    error = install_error(output, folder)
    error.hint = error.hint or f"Run it yourself to see more:  uv sync --project {agent.name}"
    return error


def _not_for_arm(output: str, agent: Path) -> VoicecoreError | None:
    """Return the error for uv's output if a package is for other machines only."""
    if absent := re.search(r"Package `(.+?)` can't be installed because it is marked", output):
        return NotForArm(
            f"{absent[1]} has no wheel for linux/arm64 and this version of Python, and no source "
            "from which to build one.",
            "Add such a wheel where it comes from; to build it on an arm64 machine:  uv build "
            f"--wheel\nThen run:  uv lock --project {agent.name}",
            ExitCode.BAD_PROJECT,
        )
    found = re.search(r"The built wheel `((.+?)-[^`]+)` is not compatible", output)
    if not found:
        return None
    return NotForArm(
        f"{found[2]} is compiled: here it becomes {found[1]}, and AgentCore runs arm64. No builder "
        "can compile it, because its source is on this machine.",
        "Build its wheel on an arm64 machine with Linux, or in your CI:  uv build --wheel\n"
        f"and use that in {agent.name}/pyproject.toml:\n"
        f'  [tool.uv.sources]\n  {found[2]} = {{ path = "../wheels/NAME-aarch64.whl" }}\n'
        f"Then run:  uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _remove_traces(folder: Path) -> None:
    """Delete what differs between machines, so that equal packages give equal archives."""
    for pattern in _OF_THIS_MACHINE:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for record in folder.glob("*.dist-info/RECORD"):
        with record.open(newline="", encoding="utf-8") as file:
            rows = sorted(row for row in csv.reader(file) if (folder / row[0]).exists())
        with record.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _store(path: Path, store: Path) -> str:
    """Move a file into the store; return its digest."""
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    with replacing(blob_path(store, digest)) as temporary:
        shutil.copyfile(path, temporary)
    return digest

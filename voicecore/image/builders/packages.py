"""Owns the folders that become layers: packages installed for arm64 by uv, and copied code.

prune.py of the project reduces both. These are the commands of the Dockerfile's build stage, run on
this machine; none of them runs arm64 code.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import download_advice
from voicecore.console.progress import OnProgress, Progress
from voicecore.console.uv_program import uv_program
from voicecore.image.blob_store import disk_full, disk_full_explained, write_atomically
from voicecore.image.inputs.build_context import ARCHIVE, HOST_FILES, REQUIREMENTS
from voicecore.image.model import Package
from voicecore.project.dotenv import without_ours

PRUNE = "internal/prune.py"
PACKAGES_LIST = "PACKAGES.json"
"""List of packages that prune.py writes."""

# Apple's file system copies on write. Elsewhere a full copy: prune.py changes modes and times,
# which must not reach uv's cache through a hard link.
_LINK_MODE = "clone" if sys.platform == "darwin" else "copy"

_PRUNE_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")
"""Variables of the user that prune.py gets."""

INTO_IMAGE = ("--python-platform", "aarch64-manylinux_2_28", "--link-mode", _LINK_MODE)
"""Options of `uv pip install` for packages of the image."""

_INSTALL_OPTIONS = ("--require-hashes", "--no-deps", "--only-binary", ":all:", *INTO_IMAGE)


class PythonMissing(VoicecoreError):
    """No Python of the image's version is on this machine to compile its bytecode."""


class PackageInstallFailed(VoicecoreError):
    """uv could not install the locked packages for arm64; shows uv's message."""


class PruneFailed(VoicecoreError):
    """The project's prune.py is missing or failed; shows its output."""


class FileGone(VoicecoreError):
    """A file of the build context was deleted during the build."""


class LinkLeavesFolder(VoicecoreError):
    """A file of the build context became a link out of it during the build."""


async def find_python(version: str, env: Mapping[str, str], cached: Path) -> Path:
    """Return an interpreter of `version` ("3.13"): the one that runs voicecore, or one uv finds.

    uv takes up to a quarter of a second, so the file `cached` stores its result. Raises
    PythonMissing.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    known = _read_cached(cached)
    # A path without the version may have become another Python.
    if known and known.name == f"python{version}" and known.exists():
        return known
    argv = [uv_program(), "python", "find", "--no-project", version]
    code, output = await run_program(argv, None, env)
    if code:
        raise PythonMissing(
            f"The image has Python {version}, which must install its packages and compile its "
            "bytecode, and this machine does not have that version.",
            f"Install it:  uv python install {version}",
            ExitCode.MISSING_TOOL,
        )
    found = output.strip().splitlines()[-1]
    write_atomically(cached, found.encode())
    return Path(found)


def _read_cached(cached: Path) -> Path | None:
    try:
        return Path(cached.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return None


async def install(
    agent: Path,
    folder: Path,
    python: Path,
    env: Mapping[str, str],
    on_progress: OnProgress,
    sources: Mapping[str, Path] | None = None,
) -> tuple[Package, ...]:
    """Install the packages of `agent`'s uv.lock into `folder`, prune them, and return them.

    `sources` has the files of host_packages.py, if there are any. Raises PackageInstallFailed,
    PruneFailed and DiskFull.
    """
    on_progress(Progress("installing packages"))
    sources = sources or {}
    if ARCHIVE in sources:
        with disk_full_explained(folder), tarfile.open(sources[ARCHIVE]) as archive:
            archive.extractall(folder, filter="data")
    with tempfile.TemporaryDirectory(prefix="voicecore-") as temporary:
        requirements = sources.get(REQUIREMENTS, Path(temporary) / "requirements.txt")
        export = ("export", "--quiet", "--frozen", "--no-dev", "--output-file", str(requirements))
        into = ("--target", str(folder), "--requirements", str(requirements))
        add = ("pip", "install", *_INSTALL_OPTIONS, "--python", str(python), *into)
        for arguments in (add,) if REQUIREMENTS in sources else (export, add):
            code, output = await run_program([uv_program(), *arguments], agent, env)
            if code:
                raise install_error(output, folder)
        await prune(agent, "packages", folder, python, env)
    packages = packages_in(folder)
    note = f"{len(packages)} packages"
    on_progress(Progress("installing packages", finished=True, note=note))
    return packages


async def install_listed(
    agent: Path,
    folder: Path,
    listed: Sequence[str],
    env: Mapping[str, str],
    on_progress: OnProgress,
) -> None:
    """Install what the words in `listed` name into `folder`. Raises PackageInstallFailed."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    if not listed:
        return
    on_progress(Progress("installing packages"))
    into = ("--only-binary", ":all:", *INTO_IMAGE, "--python", sys.executable)
    argv = [uv_program(), "pip", "install", *into, "--target", str(folder), *listed]
    code, output = await run_program(argv, agent, env)
    if code:
        raise install_error(output, folder)
    on_progress(Progress("installing packages", finished=True))


def packages_in(folder: Path) -> tuple[Package, ...]:
    """Return the packages that prune.py listed in `folder`, largest first."""
    try:
        text = (folder / PACKAGES_LIST).read_text(encoding="utf-8")
    except FileNotFoundError:
        # prune.py belongs to the user, who may have removed the list.
        return ()
    return tuple(
        Package(found["name"], found["version"], found["bytes"]) for found in json.loads(text)
    )


async def copy_code(
    agent: Path,
    files: Sequence[str],
    folder: Path,
    python: Path,
    env: Mapping[str, str],
    sources: Mapping[str, Path] | None = None,
) -> None:
    """Copy `files` of `agent` into `folder`, and prune them; `sources` has those from elsewhere.

    Raises FileGone, LinkLeavesFolder, PruneFailed and DiskFull.
    """
    with disk_full_explained(folder):
        copy_files(agent, [name for name in files if name not in HOST_FILES], folder, sources)
    # prune.py follows links: it compiles the modules that they point to, and deletes files.
    _require_links_inside(folder, files, agent.name)
    await prune(agent, "code", folder, python, env)


def copy_files(
    agent: Path, files: Sequence[str], folder: Path, sources: Mapping[str, Path] | None = None
) -> None:
    """Copy `files` of `agent`, or the `sources` of some, into `folder`. Raises FileGone."""
    folder.mkdir(parents=True)
    for name in files:
        path, source = folder / name, (sources or {}).get(name, agent / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy(source, path, follow_symlinks=False)
        except FileNotFoundError as error:
            raise FileGone(
                f"{agent.name}/{name} was deleted during the build.",
                "Run the same command again.",
            ) from error


def _require_links_inside(folder: Path, files: Sequence[str], name: str) -> None:
    """Raise LinkLeavesFolder if one of `files` is a link out of `folder`, shown as `name`.

    The plan has refused such links; one that is new would lead to files of this machine.
    """
    root = Path(os.path.realpath(folder))
    for file in files:
        link = folder / file
        if link.is_symlink() and not Path(os.path.realpath(link)).is_relative_to(root):
            raise LinkLeavesFolder(
                f"{name}/{file} became a link out of {name}/ during the build.",
                "Run the same command again.",
            )


def prune_script(agent: Path) -> Path:
    """Return `agent`'s prune.py. Raises PruneFailed if it is missing."""
    script = agent / PRUNE
    if not script.exists():
        raise PruneFailed(
            f"{agent.name}/ has no {PRUNE}, which makes the image small.",
            "Restore the generated file; no other file is changed:\n"
            f"  voicecore update -p {agent.parent} --restore {agent.name}/{PRUNE}",
            ExitCode.BAD_PROJECT,
        )
    return script


async def prune(agent: Path, part: str, folder: Path, python: Path, env: Mapping[str, str]) -> None:
    """Run `agent`'s prune.py for its `part` on `folder`. Raises PruneFailed and DiskFull."""
    script = prune_script(agent)
    # prune.py would otherwise set these itself, by starting Python a second time.
    reproducible = {"PYTHONHASHSEED": "0", "PYTHONNODEBUGRANGES": "1"}
    # As in a build with Docker, code of the project gets no variable of the user, such as AWS keys.
    clean = {name: env[name] for name in _PRUNE_VARIABLES if name in env}
    argv = [str(python), str(script), part, str(folder)]
    code, output = await run_program(argv, agent, clean | reproducible)
    if code and _is_disk_full(output):
        raise disk_full(folder)
    if code:
        raise PruneFailed(
            f"{agent.name}/{PRUNE} failed on the {part}:\n{_tail(output)}",
            f"Edit {agent.name}/{PRUNE}; the list at its top says what it removes.",
            ExitCode.BAD_PROJECT,
        )


def install_error(output: str, folder: Path) -> VoicecoreError:
    """Return the error for uv's output when it could not install into `folder`."""
    if _is_disk_full(output):
        return disk_full(folder)
    missing = re.findall(r"([\w.-]+==[\w.!+-]+) has no (?:usable )?wheels", output)
    if missing:
        return PackageInstallFailed(
            f"These packages have no wheel for arm64: {', '.join(sorted(set(missing)))}.",
            "Compile them in AWS:  voicecore build --builder codebuild --push REPOSITORY",
            ExitCode.BAD_PROJECT,
        )
    if advice := download_advice(output, os.environ):
        return PackageInstallFailed(f"Could not reach the package index:\n{_tail(output)}", advice)
    return PackageInstallFailed(f"uv could not install the packages for arm64:\n{_tail(output)}")


def _is_disk_full(output: str) -> bool:
    return "No space left on device" in output or "os error 28" in output


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-15:])


async def run_program(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str]
) -> tuple[int, str]:
    """Return the exit code and output of a program; it is killed if this task is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=without_ours(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")

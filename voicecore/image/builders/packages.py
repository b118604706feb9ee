"""Fills the folders that become layers: packages for arm64 by uv, code, both made small by slim.py.

The same commands as in the Dockerfile's build stage, run on this machine; none of them runs arm64
code.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.builders.layers import disk_full, room_in, write_whole
from voicecore.image.model import Package, Progress, Tell

SLIM = "internal/prune.py"
LISTED = "PACKAGES.json"
"""The list that slim.py writes."""

# Apple's file system copies on write. Elsewhere a real copy: slim.py changes rights and times,
# which must not reach uv's cache through a hard link.
_LINK_MODE = "clone" if sys.platform == "darwin" else "copy"

_HOW = (
    *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
    *("--python-platform", "aarch64-manylinux_2_28", "--link-mode", _LINK_MODE),
)


class PythonMissing(VoicecoreError):
    """No interpreter of the image's version, which compiles its bytecode, is on this machine."""


class InstallRefused(VoicecoreError):
    """uv could not install the locked packages for arm64; carries uv's own words."""


class SlimFailed(VoicecoreError):
    """The agent's slim.py is missing, or ended with an error; carries its words."""


class FileGone(VoicecoreError):
    """A file that was to go into the image has been deleted meanwhile."""


async def find_python(version: str, env: Mapping[str, str], kept: Path) -> Path:
    """An interpreter of `version` ("3.13"): ours, or one that uv knows of.

    uv takes up to a quarter second to find it, so the file `kept` remembers it. Raises
    PythonMissing.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    known = _remembered(kept)
    # A name without the version may be another one's by now.
    if known and known.name == f"python{version}" and known.exists():
        return known
    argv = [uv.find_uv_bin(), "python", "find", "--no-project", version]
    code, output = await _run(argv, None, env)
    if code:
        raise PythonMissing(
            f"The image has Python {version}, and its bytecode is compiled by the same; "
            "there is none on this machine.",
            f"Install it:  uv python install {version}",
            ExitCode.MISSING_TOOL,
        )
    found = output.strip().splitlines()[-1]
    write_whole(kept, found.encode())
    return Path(found)


def _remembered(kept: Path) -> Path | None:
    try:
        return Path(kept.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return None


async def install(
    agent: Path, folder: Path, python: Path, env: Mapping[str, str], tell: Tell
) -> tuple[Package, ...]:
    """Install what `agent`'s uv.lock says into `folder`, and slim it; returns what is there.

    Raises InstallRefused, SlimFailed and DiskFull.
    """
    tell(Progress("install packages"))
    with tempfile.TemporaryDirectory(prefix="voicecore-") as made:
        wanted = Path(made) / "requirements.txt"
        into = ("--target", str(folder), "--requirements", str(wanted))
        for arguments in (
            ("export", "--quiet", "--frozen", "--no-dev", "--output-file", str(wanted)),
            ("pip", "install", *_HOW, "--python", str(python), *into),
        ):
            code, output = await _run([uv.find_uv_bin(), *arguments], agent, env)
            if code:
                raise refused(output, folder)
        await slim(agent, "packages", folder, python, env)
    packages = listed_in(folder)
    tell(Progress("install packages", finished=True, note=f"{len(packages)} packages"))
    return packages


def listed_in(folder: Path) -> tuple[Package, ...]:
    """The packages that slim.py has listed in `folder`, largest first."""
    try:
        text = (folder / LISTED).read_text(encoding="utf-8")
    except FileNotFoundError:
        # slim.py is the user's own and need not write it.
        return ()
    return tuple(
        Package(found["name"], found["version"], found["bytes"]) for found in json.loads(text)
    )


async def copy_code(
    agent: Path, files: Sequence[str], folder: Path, python: Path, env: Mapping[str, str]
) -> None:
    """Copy `files` of `agent` into `folder`, and slim it.

    Raises FileGone, SlimFailed and DiskFull.
    """
    with room_in(folder):
        _copy(agent, files, folder)
    await slim(agent, "code", folder, python, env)


def _copy(agent: Path, files: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy(agent / name, path, follow_symlinks=False)
        except FileNotFoundError as error:
            raise FileGone(
                f"{agent.name}/{name} was deleted while the image was built.",
                "Run the same command again.",
            ) from error


async def slim(agent: Path, part: str, folder: Path, python: Path, env: Mapping[str, str]) -> None:
    """Let `agent`'s slim.py do its `part` on `folder`. Raises SlimFailed and DiskFull."""
    script = agent / SLIM
    if not script.exists():
        raise SlimFailed(
            f"{agent.name}/ has no {SLIM}, which makes the image small.",
            "Bring back what init made; your other files stay as they are:  "
            f"voicecore init {agent.parent.name} --directory {agent.parent.parent} --force",
            ExitCode.BAD_PROJECT,
        )
    # As slim.py sets them itself, by starting Python again: an edit need not wait for that.
    seeded = {"PYTHONHASHSEED": "0", "PYTHONNODEBUGRANGES": "1"}
    clean = {name: value for name, value in env.items() if not name.startswith("PYTHON")}
    argv = [str(python), str(script), part, str(folder)]
    code, output = await _run(argv, agent, clean | seeded)
    if code and _no_room(output):
        raise disk_full(folder)
    if code:
        raise SlimFailed(
            f"{agent.name}/{SLIM} failed on the {part}:\n{_tail(output)}",
            "It is yours; what it removes is listed at its top.",
            ExitCode.BAD_PROJECT,
        )


def refused(output: str, folder: Path) -> VoicecoreError:
    """The error for what uv says when it could not install into `folder`."""
    if _no_room(output):
        return disk_full(folder)
    missing = re.findall(r"([\w.-]+==[\w.!+-]+) has no (?:usable )?wheels", output)
    if missing:
        return InstallRefused(
            f"These packages have no wheel for arm64: {', '.join(sorted(set(missing)))}.",
            "They must be compiled, which AWS can do:  "
            "voicecore build --builder codebuild --push REPOSITORY",
            ExitCode.BAD_PROJECT,
        )
    if re.search(r"error sending request|dns error|operation timed out", output):
        return InstallRefused(
            f"The package index cannot be reached:\n{_tail(output)}",
            "Check the network and proxy (HTTPS_PROXY), then run the same command again; "
            "what has been downloaded is kept.",
        )
    return InstallRefused(f"uv could not install the packages for arm64:\n{_tail(output)}")


def _no_room(output: str) -> bool:
    return "No space left on device" in output or "os error 28" in output


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-15:])


async def _run(argv: Sequence[str], cwd: Path | None, env: Mapping[str, str]) -> tuple[int, str]:
    """The exit code and output of a program, which ends when this task is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        # VIRTUAL_ENV is voicecore's own, which these packages have nothing to do with.
        env={name: value for name, value in env.items() if name != "VIRTUAL_ENV"},
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

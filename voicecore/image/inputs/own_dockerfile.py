"""Owns the Dockerfile of an adopted agent: what it installs, and what it cannot."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode
from voicecore.console.uv_program import uv_program
from voicecore.image.inputs import dockerfile
from voicecore.image.inputs.lockfile import NoWheel
from voicecore.project.dotenv import without_ours
from voicecore.scaffold import render

_WHEELS = "--only-binary :all:"
"""Option that the Dockerfile of `adopt` installs with: no arm64 code runs in a build here."""


def read(folder: Path, root: Path) -> str:
    """Return the text of the Dockerfile. Raises BadDockerfile, which says how to get one."""
    if not (folder / dockerfile.FILE).is_file():
        raise dockerfile.BadDockerfile(
            f"{root.name} has no {dockerfile.FILE}, so no image can be built.",
            f"Write one for linux/arm64:  voicecore adopt {root} --force --add dockerfile",
        )
    return dockerfile.read(folder)


@dataclass(frozen=True)
class AdoptedDockerfile:
    """Packages that the build stage of a Dockerfile by `adopt` installs."""

    python: str
    requirements: str
    """File in the context that lists the packages; empty for none."""
    keys: bool
    """True when it installs boto3 for `agentcore_keys.py`."""

    @property
    def text(self) -> str:
        """The Dockerfile that `adopt` would write; its last stage may differ."""
        variables = {**asdict(self), "folder": ".", "command": "[]"}
        return render.adopted("Dockerfile", variables).decode()


def read_adopted(text: str) -> AdoptedDockerfile:
    """Return what a Dockerfile by `adopt` installs; a builder compares its text with this one's."""
    python = re.search(r"--python-version (\S+)", text)
    listed = re.search(r"(?m)^COPY (\S+) \./$", text)
    keys = re.search(r"(?m)^ .* --target /packages.* boto3$", text)
    return AdoptedDockerfile(python[1] if python else "", listed[1] if listed else "", bool(keys))


def without_wheel(text: str, requirements: Path | None, env: Mapping[str, str]) -> NoWheel | None:
    """Return the error for packages that a Dockerfile of `adopt` cannot install on arm64.

    Any other Dockerfile may compile them. Needs the package index, or uv's cache of it.
    """
    if _WHEELS not in text or requirements is None or not requirements.exists():
        return None
    python = re.search(r"--python-version (\S+)", text)
    target = ("--python-platform", "aarch64-manylinux_2_28", "--python-version")
    argv = [uv_program(), "pip", "compile", "--quiet", *target, python[1] if python else "3.13"]
    argv += ["--only-binary", ":all:", "--no-header", str(requirements)]
    done = subprocess.run(
        argv, env=without_ours(env), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode == 0:
        return None
    reason = " ".join(done.stderr.split()).removeprefix("× ")
    if "wheel" not in reason and "no matching" not in reason:
        return None  # the build explains it: the index cannot be reached, or a name is wrong
    return NoWheel(
        f"{requirements.name} has packages without a wheel for linux/arm64:\n  {reason}\n"
        "Such a package must be compiled on arm64, and builds here do not run emulated.",
        "Compile it on AWS's arm64 machines:\n"
        "  voicecore build --builder codebuild --push REPOSITORY\n"
        f"or require a version that has a wheel, in {requirements}.",
        ExitCode.BAD_PROJECT,
    )

"""A Python with the packages of a project's session server, Lambda's runtime client included."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.scaffold.render import Answers, render


def make_python(folder: Path) -> Path:
    """Create an environment in `folder` for servers of all transports; return its Python."""
    services = services_of(PIPELINES["offline"], {})
    files = render(Answers("line", tuple(TRANSPORTS), "offline", "us-east-1", services), "key")
    (folder / "pyproject.toml").write_bytes(files["server/pyproject.toml"])
    sync = [uv.find_uv_bin(), "sync", "--quiet", "--no-dev", "--project", str(folder)]
    subprocess.run(sync, check=True)
    return folder / ".venv/bin/python"


def start(
    python: Path, folder: Path, command: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[str]:
    """Start a container's command with this Python, in a folder with the image's files."""
    assert command[0] == "python"
    return subprocess.Popen(
        [python, *command[1:]],
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

"""A Python that has what a project's session server needs, Lambda's own client among it."""

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
    """The Python of an environment in `folder`, with what servers of all transports need."""
    services = services_of(PIPELINES["offline"], {})
    files = render(Answers("line", tuple(TRANSPORTS), "offline", "us-east-1", services), "key")
    (folder / "pyproject.toml").write_bytes(files["server/pyproject.toml"])
    sync = [uv.find_uv_bin(), "sync", "--quiet", "--no-dev", "--project", str(folder)]
    subprocess.run(sync, check=True)
    return folder / ".venv/bin/python"


def start(
    python: Path, folder: Path, command: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[str]:
    """A container's command with this Python, in a folder that has what the image would have."""
    assert command[0] == "python"
    return subprocess.Popen(
        [python, *command[1:]],
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

"""A developer's project, and the commands that the developer types in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries

KEY = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"


def run_voicecore(
    registries: Registries, daemon: DockerDaemon | None, root: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `root`; without a daemon, Docker is not available."""
    env = {**os.environ, **registries.env(), "XDG_CACHE_HOME": str(root.parent / "cache")}
    env |= daemon.env if daemon else {"DOCKER_HOST": f"unix://{root}/no-docker.sock"}
    argv = registries.argv(sys.executable, "-m", "voicecore", *arguments)
    return subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True)


def build_report(
    registries: Registries, daemon: DockerDaemon | None, root: Path, *arguments: str
) -> dict[str, Any]:
    """Run a build that must succeed, and return its JSON report."""
    done = run_voicecore(registries, daemon, root, "build", "--json", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def make_project(folder: Path, *options: str) -> Path:
    """Create a project in `folder`, with local files that no image may contain."""
    argv = [sys.executable, "-m", "voicecore", "init", "ada", "--yes", *options]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    root = folder / "ada"
    (root / "agent/.env").write_text(f"DEEPGRAM_API_KEY={KEY}\n")
    (root / "agent/.venv").mkdir()
    (root / "agent/.venv/pyvenv.cfg").write_text(f"home = {root}\n")
    (root / "agent/tests").mkdir()
    (root / "agent/tests/test_bot.py").write_text("SECRET_OF_TESTS = 1\n")
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    return root

"""A developer at the keyboard: a project of theirs, and the commands they type in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.standins.image.engine import Engine
from tests.standins.image.lab import Registries

KEY = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"


def voicecore(
    lab: Registries, engine: Engine | None, root: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The command as typed in `root`; without an engine there is no Docker to be found."""
    env = {**os.environ, **lab.env(), "XDG_CACHE_HOME": str(root.parent / "cache")}
    env |= engine.env if engine else {"DOCKER_HOST": f"unix://{root}/no-docker.sock"}
    argv = lab.argv(sys.executable, "-m", "voicecore", *arguments)
    return subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True)


def build(lab: Registries, engine: Engine | None, root: Path, *arguments: str) -> dict[str, Any]:
    """What a build that went well reports."""
    done = voicecore(lab, engine, root, "build", "--json", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def make_project(folder: Path, *answers: str) -> Path:
    """A project in `folder`, with what a developer has lying about and nobody else shall see."""
    argv = [sys.executable, "-m", "voicecore", "init", "ada", "--yes", *answers]
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

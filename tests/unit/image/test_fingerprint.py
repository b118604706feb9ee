"""The fingerprint: equal inputs give equal tags, and every relevant input changes the tag."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicecore.image.inputs import fingerprint
from voicecore.image.inputs.build_context import ARCHIVE, REQUIREMENTS, context_files
from voicecore.image.model import BaseImage

BASE = BaseImage(
    name="registry.example/python:3.13-slim",
    digest="sha256:" + "a" * 64,
    manifest={},
    config={"created": "2026-10-01T00:00:00Z"},
)


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    for name, text in {
        "bot.py": "PROMPT = 'hello'\n",
        "uv.lock": "version = 1\n",
        "pyproject.toml": "[project]\n",
        "internal/prune.py": "\n",
        ".env": "KEY=secret\n",
        ".dockerignore": "# secrets\n.env\n*.log\n!keep.log\n",
        "debug.log": "x",
        "keep.log": "x",
        "prompts/de.txt": "Hallo",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def tag(agent: Path, digest: str = BASE.digest) -> str:
    return fingerprint.fingerprint(context_files(agent), digest)


def test_context_follows_dockerignore(agent: Path) -> None:
    assert [file.path for file in context_files(agent)] == [
        ".dockerignore",
        "bot.py",
        "internal/prune.py",
        "keep.log",
        "prompts/de.txt",
        "pyproject.toml",
        "uv.lock",
    ]


def test_tag_ignores_times_and_excluded_files(agent: Path, tmp_path: Path) -> None:
    before = tag(agent)
    os.utime(agent / "bot.py", (1, 1))
    (agent / ".env").write_text("KEY=another\n")
    (agent / "debug.log").write_text("more")
    assert tag(agent) == before
    assert len(before) == 20
    int(before, 16)


@pytest.mark.parametrize("change", ["content", "new file", "mode", "name", "link", "base"])
def test_tag_changes_with_every_input(agent: Path, change: str) -> None:
    before = tag(agent)
    digest = BASE.digest
    match change:
        case "content":
            (agent / "bot.py").write_text("PROMPT = 'bye'\n")
        case "new file":
            (agent / "tools.py").write_text("")
        case "mode":
            (agent / "bot.py").chmod(0o755)
        case "name":
            (agent / "prompts/de.txt").rename(agent / "prompts/at.txt")
        case "link":
            (agent / "robot.py").symlink_to("bot.py")
        case _:
            digest = "sha256:" + "b" * 64
    assert tag(agent, digest) != before


def test_packages_key_ignores_code(agent: Path) -> None:
    key = fingerprint.packages_key(context_files(agent), BASE.digest)
    (agent / "bot.py").write_text("PROMPT = 'bye'\n")
    assert fingerprint.packages_key(context_files(agent), BASE.digest) == key


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "uv.lock", "internal/prune.py", ARCHIVE, REQUIREMENTS]
)
def test_packages_key_changes_with_each_of_their_inputs(agent: Path, name: str) -> None:
    key = fingerprint.packages_key(context_files(agent), BASE.digest)
    (agent / name).write_text("another\n")
    assert fingerprint.packages_key(context_files(agent), BASE.digest) != key


def test_key_of_the_standard_library_depends_on_what_prunes_it(agent: Path) -> None:
    key = fingerprint.stdlib_key(context_files(agent), BASE.digest)
    (agent / "uv.lock").write_text("another\n")
    assert fingerprint.stdlib_key(context_files(agent), BASE.digest) == key
    (agent / "internal/prune.py").write_text("another\n")
    assert fingerprint.stdlib_key(context_files(agent), BASE.digest) != key


def test_labels_omit_unknown_values() -> None:
    labels = fingerprint.labels("ada", "0.1.0", None, BASE, "0" * 20)
    assert "org.opencontainers.image.revision" not in labels
    assert labels["org.opencontainers.image.base.digest"] == BASE.digest
    assert labels["io.voicecore.fingerprint"] == "0" * 20


def test_image_has_creation_time_of_base() -> None:
    assert fingerprint.epoch_of(BASE) == 1790812800
    assert fingerprint.age_of(BASE, datetime(2026, 12, 1, tzinfo=UTC)) == 61
    unknown = replace(BASE, config={})
    assert fingerprint.epoch_of(unknown) == 0
    assert fingerprint.age_of(unknown, datetime.now(UTC)) is None

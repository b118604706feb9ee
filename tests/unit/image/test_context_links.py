"""Links in the agent's folder: kept, followed within the project, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voicecore.image.inputs.build_context import context_files, sources_of
from voicecore.image.inputs.context_walk import BadLink
from voicecore.image.inputs.secret_scan import find_secrets


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "ada/agent"
    for name in ("agent/data", "shared/deep", "server"):
        (folder.parent / name).mkdir(parents=True)
    (folder / "bot.py").write_text("")
    (folder / "data/words.txt").write_text("one two")
    (folder / ".dockerignore").write_text("**/.env\ntests\n")
    (folder.parent / "shared/prompts.py").write_text("PROMPT = 1\n")
    (folder.parent / "shared/deep/run.sh").write_text("#!/bin/sh\n")
    (folder.parent / "shared/deep/run.sh").chmod(0o755)
    (folder.parent / "server/.env").write_text("KEY=1\n")
    return folder


def found(agent: Path) -> dict[str, Path]:
    """Return the files to read for the paths that are not the agent's own."""
    return sources_of(context_files(agent))


@pytest.mark.parametrize(
    ("link", "target"),
    [("latest", "data/words.txt"), ("data/up", "../bot.py"), ("now", "data"), ("next", "latest")],
)
def test_link_within_agent_stays_a_link(agent: Path, link: str, target: str) -> None:
    (agent / "latest").symlink_to("data/words.txt")
    (agent / link).unlink(missing_ok=True)
    (agent / link).symlink_to(target)
    assert found(agent) == {}
    assert link in {file.path for file in context_files(agent)}


def test_link_to_file_of_project_becomes_that_file(agent: Path) -> None:
    (agent / "prompts.py").symlink_to("../shared/prompts.py")
    assert found(agent) == {"prompts.py": agent.parent / "shared/prompts.py"}
    before = {file.path: file.sha256 for file in context_files(agent)}
    (agent.parent / "shared/prompts.py").write_text("PROMPT = 2\n")
    after = {file.path: file.sha256 for file in context_files(agent)}
    assert {path for path in after if after[path] != before[path]} == {"prompts.py"}


@pytest.mark.parametrize("absolute", [True, False])
def test_link_to_folder_of_project_becomes_its_files(agent: Path, absolute: bool) -> None:
    shared = agent.parent / "shared"
    (shared / "again").symlink_to("prompts.py")
    (agent / "common").symlink_to(shared if absolute else Path("../shared"))
    assert found(agent) == {
        "common/prompts.py": shared / "prompts.py",
        "common/again": shared / "prompts.py",
        "common/deep/run.sh": shared / "deep/run.sh",
    }
    executable = {file.path for file in context_files(agent) if file.executable}
    assert executable == {"common/deep/run.sh"}


def test_link_that_would_dangle_in_image_is_followed(agent: Path) -> None:
    # In the image there is no folder `agent` beside the code's, and no absolute path of here.
    (agent / "a.txt").symlink_to("../agent/data/words.txt")
    (agent / "b.txt").symlink_to(agent / "data/words.txt")
    assert found(agent) == {name: agent / "data/words.txt" for name in ("a.txt", "b.txt")}


def test_excluded_files_of_linked_folder_stay_out(agent: Path) -> None:
    (agent.parent / "shared/.env").write_text("KEY=1\n")
    (agent / "common").symlink_to("../shared")
    assert "common/.env" not in found(agent)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere.py", "which does not exist"),
        ("../nowhere.py", "which does not exist"),
        ("/etc/hostname", "which is not in the project"),
        ("../../outside.txt", "which is not in the project"),
        ("../server/.env", "which .dockerignore excludes"),
        ("tests/test_bot.py", "which .dockerignore excludes"),
        ("..", "which contains the link itself"),
        ("link", "which does not exist"),
    ],
)
def test_other_links_are_refused_by_name(agent: Path, target: str, why: str) -> None:
    (agent / "tests").mkdir()
    (agent / "tests/test_bot.py").write_text("")
    (agent.parent.parent / "outside.txt").write_text("mine")
    (agent / "link").symlink_to(target)
    with pytest.raises(BadLink, match=why) as refused:
        context_files(agent)
    assert f"agent/link is a link to {target}" in refused.value.message
    assert "echo link >> agent/.dockerignore" in (refused.value.hint or "")


def test_linked_folders_in_a_circle_are_refused(agent: Path) -> None:
    (agent.parent / "other").mkdir()
    (agent.parent / "other/back").symlink_to("../shared")
    (agent.parent / "shared/other").symlink_to("../other")
    (agent / "common").symlink_to("../shared")
    with pytest.raises(BadLink, match="which contains the link itself"):
        context_files(agent)


def test_link_on_the_way_out_is_not_taken_for_one_within(agent: Path) -> None:
    (agent / "a").mkdir()
    (agent / "a/top").symlink_to("../..")
    (agent / "stolen").symlink_to("a/top/../outside.txt")
    (agent.parent.parent / "outside.txt").write_text("mine")
    (agent / "outside.txt").write_text("")
    with pytest.raises(BadLink):
        context_files(agent)


def test_secrets_behind_links_are_found(agent: Path) -> None:
    key = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"
    (agent.parent / "shared/prompts.py").write_text(f"DEEPGRAM = '{key}'\n")
    (agent / "prompts.py").symlink_to("../shared/prompts.py")
    names = [file.path for file in context_files(agent)]
    assert find_secrets(agent, names, {"DEEPGRAM_API_KEY": key}, found(agent))
    assert not find_secrets(agent, names, {"DEEPGRAM_API_KEY": key})


def test_largest_files_are_named_with_the_limit(agent: Path) -> None:
    with (agent / "model.gguf").open("wb") as file:
        os.truncate(file.fileno(), 3 * 2**30)  # sparse: takes no disk, and is not read
    with pytest.raises(Exception, match=r"3\.2 GB  agent/model\.gguf") as refused:
        context_files(agent)
    assert "limit for the whole image is 2.1 GB" in str(refused.value)

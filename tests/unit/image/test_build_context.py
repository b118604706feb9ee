"""Strange files in the project: told at once, never waited for, and no traceback."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs import dockerfile, fingerprint
from voicecore.image.inputs.build_context import BadIgnoreFile, context_files
from voicecore.image.inputs.context_walk import BadLink, UnsupportedFile, UnusableFile
from voicecore.image.inputs.dockerfile import BadDockerfile
from voicecore.image.inputs.dockerignore import IgnoreRules


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "bot.py").write_text("")
    (folder / "Dockerfile").write_text("")
    return folder


def paths(agent: Path, *ignored: str) -> list[str]:
    (agent / ".dockerignore").write_text("\n".join(ignored) + "\n")
    return [file.path for file in context_files(agent)]


# ---- kinds and names of files


@pytest.mark.parametrize("name", ["data/pipe", "Dockerfile", ".dockerignore", "uv.lock"])
def test_pipe_is_refused_without_waiting(agent: Path, name: str) -> None:
    (agent / name).parent.mkdir(exist_ok=True)
    (agent / name).unlink(missing_ok=True)
    os.mkfifo(agent / name)
    with pytest.raises(UnsupportedFile, match=re.escape(f"agent/{name} is not a file")) as caught:
        context_files(agent)
    assert f"echo {name} >> agent/.dockerignore" in (caught.value.hint or "")


def test_link_to_endless_device_is_not_read(agent: Path) -> None:
    (agent / "zero").symlink_to("/dev/zero")
    with pytest.raises(BadLink, match="agent/zero is a link to /dev/zero"):
        paths(agent)
    (agent / "Dockerfile").unlink()
    (agent / "Dockerfile").symlink_to("/dev/zero")
    with pytest.raises(UnsupportedFile):
        context_files(agent)


def test_socket_is_refused_unless_excluded(agent: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(agent / "s"))
        with pytest.raises(UnsupportedFile):
            paths(agent)
        assert paths(agent, "s") == [".dockerignore", "Dockerfile", "bot.py"]


def test_name_that_is_not_utf8_is_refused_unless_excluded(agent: Path) -> None:
    (agent / os.fsdecode(b"caf\xe9")).write_text("")
    with pytest.raises(UnusableFile, match=r"not UTF-8: 'caf\\udce9'") as caught:
        paths(agent)
    assert caught.value.message.encode()
    assert "caf" not in "".join(paths(agent, "caf?"))


def test_name_with_line_break_cannot_imitate_another_file(agent: Path) -> None:
    (agent / "a").write_text("1")
    (agent / "b").write_text("2")
    honest = fingerprint.fingerprint(context_files(agent), "base")
    digest = context_files(agent)[-2].sha256
    (agent / "b").rename(agent / f"x\n- {digest} b")
    assert fingerprint.fingerprint(context_files(agent), "base") != honest
    (agent / "x\n- y").write_text("")
    before = fingerprint.fingerprint(context_files(agent), "base")
    (agent / "x\n- y").rename(agent / "x\\n- y")
    assert fingerprint.fingerprint(context_files(agent), "base") != before


def test_folder_that_cannot_be_read_is_told(agent: Path) -> None:
    inside = os.open(agent, os.O_DIRECTORY)
    for _ in range(20):  # longer than PATH_MAX
        os.mkdir("d" * 250, dir_fd=inside)
        outside, inside = inside, os.open("d" * 250, os.O_DIRECTORY, dir_fd=inside)
        os.close(outside)
    os.close(inside)
    with pytest.raises(UnusableFile, match="File name too long"):
        context_files(agent)
    shutil.rmtree(agent)  # other tests search the folders beside this one


# ---- .dockerignore


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[z-a]", "line 2: .*not a range"),
        ("a[b", "line 2: .*] is missing"),
        ("[]a]", "line 2: .*no first character"),
        ("a[", "line 2: .*] is missing"),
        ("a[b-", "line 2: .*] is missing"),
        ("a\\", "line 2: .*backslash"),
        ("!", "line 2: .*excludes nothing"),
    ],
)
def test_pattern_that_docker_refuses_is_told(agent: Path, pattern: str, message: str) -> None:
    with pytest.raises(BadIgnoreFile, match=message) as caught:
        paths(agent, "# a comment", pattern)
    assert "agent/.dockerignore" in caught.value.message
    assert caught.value.exit_code is ExitCode.BAD_PROJECT


def test_ignore_file_that_is_not_utf8_is_told(agent: Path) -> None:
    (agent / ".dockerignore").write_bytes(b"caf\xe9\n")
    with pytest.raises(BadIgnoreFile, match=r"\.dockerignore"):
        context_files(agent)


def test_many_stars_take_linear_time(agent: Path) -> None:
    for length in range(200, 230):
        (agent / ("a" * length)).write_text("")
    # With a backtracking regular expression, one of these takes longer than a century.
    for pattern in (
        "**/" + "*a" * 15 + "*b",
        "*a" * 60 + "b",
        "**/a" * 30 + "/b",
        "[a-z]*" * 40 + "1",
    ):
        assert len(paths(agent, pattern)) == 33


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["*"], {"Dockerfile", ".dockerignore"}),
        (["**", "!a/b/c.py"], {"Dockerfile", ".dockerignore", "a/b/c.py"}),
        (["a", "!a/b", "a/b/c.py"], {"Dockerfile", ".dockerignore", "a/b/d.txt", "e.py", "f/a/g"}),
        (["**/a"], {"Dockerfile", ".dockerignore", "e.py"}),
        (["a/*/c.py", "/e.py/"], {"Dockerfile", ".dockerignore", "a/b/d.txt", "f/a/g"}),
        (["a/**/c.py", "f/**"], {"Dockerfile", ".dockerignore", "a/b/d.txt", "e.py"}),
        (["**/*.py", "#a", " f "], {"Dockerfile", ".dockerignore", "a/b/d.txt"}),
        (["a/./b/../b", "\\e.py"], {"Dockerfile", ".dockerignore", "f/a/g"}),
        (["[^D.]*"], {"Dockerfile", ".dockerignore"}),
        (["Dockerfile", ".dockerignore", "?", "e.p[xyz]"], {"Dockerfile", ".dockerignore"}),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_in_docker(
    tmp_path: Path, lines: list[str], kept: set[str]
) -> None:
    for name in ("Dockerfile", "a/b/c.py", "a/b/d.txt", "e.py", "f/a/g"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert set(paths(tmp_path, *lines)) == kept


def test_line_is_a_comment_only_if_it_begins_with_the_sign(tmp_path: Path) -> None:
    for name in ("Dockerfile", "#kept", "#gone"):
        (tmp_path / name).write_text("")
    assert set(paths(tmp_path, "#kept", " #gone")) == {"Dockerfile", ".dockerignore", "#kept"}


def as_moby(pattern: str) -> re.Pattern[str]:
    """Return moby/patternmatcher's regular expression, for patterns of a few characters."""
    found, at = "", 0
    while at < len(pattern):
        character, at = pattern[at], at + 1
        if character == "*" and pattern[at : at + 1] == "*":
            at += 1
            at += pattern[at : at + 1] == "/"
            found += ".*" if at == len(pattern) else "(.*/)?"
        else:
            found += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
    return re.compile(found)


def test_random_patterns_agree_with_mobys_expressions() -> None:
    choose = random.Random(20)
    for _ in range(3000):
        pattern = "".join(choose.choices("ab*?/", [3, 2, 4, 1, 2], k=choose.randint(1, 7)))
        if os.path.normpath(pattern) != pattern or pattern[0] == "/":
            continue
        rules = IgnoreRules([pattern])
        for _ in range(20):
            path = "".join(choose.choices("ab/", [3, 2, 2], k=choose.randint(1, 8)))
            expected = bool(as_moby(pattern).fullmatch(path))
            assert (rules.after(rules.start, path).last == 0) == expected, (pattern, path)


def test_states_of_hostile_patterns_stay_bounded() -> None:
    rules = IgnoreRules(["**/" + "a?" * 60 + "b"])
    choose = random.Random(21)
    for _ in range(300):
        rules.after(rules.start, "".join(choose.choices("ab", k=200)))
    assert len(rules._states) <= 20_000


# ---- the Dockerfile

TEMPLATE = "ARG BASE=x\nFROM $BASE AS build\nRUN make\nFROM $BASE\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('ENV A="b', "no closing quotation"),
        ("LABEL a='b", "no closing quotation"),
        ('CMD ["a",', "not a JSON list"),
        ("CMD [", "not a JSON list"),
        ("CMD ['a']", "not a JSON list"),
        ('ENTRYPOINT ["a", 1]', "not a list of texts"),
        ("CMD []", "not a list of texts"),
        ("CMD " + "[" * 100_000, "not a JSON list"),
        ("ENV", "no value"),
        ("EXPOSE http", "http is not a port"),
        ("WORKDIR", "no value"),
    ],
)
def test_wrong_line_is_told(line: str, reason: str) -> None:
    with pytest.raises(BadDockerfile, match=f"line 5: .*{reason}"):
        dockerfile.final_stage(f"{TEMPLATE}{line}\n", TEMPLATE)


def test_apostrophe_in_a_shell_command_is_kept() -> None:
    stage = dockerfile.final_stage(TEMPLATE + "CMD echo it's\n", TEMPLATE)
    assert stage.command == ("/bin/sh", "-c", "echo it's")


@pytest.mark.parametrize("change", [("FROM $BASE\n", "FROM\n"), ("RUN make", "RUN BASE=1 make"),
                                    ("ARG BASE", "# escape=`\nARG BASE")])  # fmt: skip
def test_changed_stage_is_not_overlooked(change: tuple[str, str]) -> None:
    with pytest.raises(VoicecoreError):
        dockerfile.final_stage(TEMPLATE.replace(*change), TEMPLATE)

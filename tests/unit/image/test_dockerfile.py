"""Reading the Dockerfile: its base, its final stage, and lines that need Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicecore.image.inputs import dockerfile
from voicecore.image.inputs.build_context import ARCHIVE
from voicecore.image.inputs.dockerfile import BadDockerfile
from voicecore.scaffold.render import dockerfile_of

GENERATED = """\
# A comment.
ARG BASE=registry.example/python:3.13-slim

FROM --platform=$BUILDPLATFORM $BASE AS build
RUN pip install uv && \\
    # between the lines
    uv sync
COPY . /image/app

FROM --platform=linux/arm64 $BASE
ENV PYTHONPATH=/opt/packages \\
    GREETING="Hello there"
LABEL team=voice
COPY --from=build /image/opt/packages /opt/packages
COPY --from=build /image/app /app
WORKDIR /app
USER 1000
EXPOSE 8080
CMD ["python", "app.py"]
"""


def test_base_is_read_and_replaced() -> None:
    pinned = dockerfile.with_base(GENERATED, "registry.example/python:3.13-slim@sha256:abc")
    assert dockerfile.base_of(GENERATED) == "registry.example/python:3.13-slim"
    assert dockerfile.base_of(pinned) == "registry.example/python:3.13-slim@sha256:abc"
    changed = set(GENERATED.splitlines()) ^ set(pinned.splitlines())
    assert len(changed) == 2


def test_dockerfile_without_base_is_refused() -> None:
    with pytest.raises(BadDockerfile, match="ARG BASE") as caught:
        dockerfile.base_of("FROM python:3.13\n")
    assert "FROM $BASE" in (caught.value.hint or "")


def test_missing_dockerfile_suggests_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(BadDockerfile, match="has no Dockerfile") as caught:
        dockerfile.read(tmp_path / "agent")
    assert f"voicecore update -p {tmp_path} --restore agent/Dockerfile" in (caught.value.hint or "")


def test_final_stage_has_all_instructions() -> None:
    stage = dockerfile.final_stage(GENERATED, GENERATED)
    assert stage.env == {"PYTHONPATH": "/opt/packages", "GREETING": "Hello there"}
    assert stage.labels == {"team": "voice"}
    assert stage.copies == (("/image/opt/packages", "/opt/packages"), ("/image/app", "/app"))
    assert (stage.workdir, stage.user, stage.ports) == ("/app", "1000", ("8080/tcp",))
    assert stage.command == ("python", "app.py")


def test_edited_final_stage_is_used() -> None:
    mine = GENERATED.replace("USER 1000", "USER 2000").replace("GREETING", "WELCOME")
    stage = dockerfile.final_stage(mine, GENERATED)
    assert stage.user == "2000"
    assert stage.env["WELCOME"] == "Hello there"


def test_shell_command_is_kept() -> None:
    mine = GENERATED.replace('["python", "app.py"]', "python app.py")
    assert dockerfile.final_stage(mine, GENERATED).command == ("/bin/sh", "-c", "python app.py")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("USER 1000", "RUN apt-get install -y ffmpeg\nUSER 1000", 17),
        ("COPY . /image/app", "COPY . /image/app\nRUN make", 9),
        ("    uv sync", "    uv sync --all-extras", 5),
        ("COPY --from=build /image/app /app", "COPY --from=other /x /app", 15),
        ("LABEL team=voice", "LABEL team=$TEAM", 13),
        ("FROM --platform=linux/arm64 $BASE", "FROM debian:trixie", 10),
        ("WORKDIR /app", 'SHELL ["/bin/bash", "-c"]', 16),
    ],
)
def test_line_that_needs_docker_is_named(old: str, new: str, line: int) -> None:
    with pytest.raises(BadDockerfile, match=f"line {line}:") as caught:
        dockerfile.final_stage(GENERATED.replace(old, new), GENERATED)
    assert "--builder buildx" in (caught.value.hint or "")


def test_other_base_keeps_final_stage() -> None:
    mine = dockerfile.with_base(GENERATED, "python:3.14")
    assert dockerfile.final_stage(mine, GENERATED) == dockerfile.final_stage(GENERATED, GENERATED)


def test_byte_order_mark_and_line_ends_of_windows_are_read_and_kept(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    agent.mkdir()
    generated = dockerfile_of("agent")
    (agent / "Dockerfile").write_bytes(b"\xef\xbb\xbf" + generated.replace("\n", "\r\n").encode())
    text = dockerfile.read(agent)
    assert text == generated
    dockerfile.final_stage(text, generated)
    dockerfile.write(agent, dockerfile.with_base(text, "python:3.13@sha256:ab"))
    written = (agent / "Dockerfile").read_bytes()
    assert b"ARG BASE=python:3.13@sha256:ab\r\n" in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_dockerfile_that_does_not_read_packages_of_this_machine_is_refused() -> None:
    dockerfile.require_host_files(dockerfile_of("agent"), ["bot.py", ARCHIVE])
    old = "FROM python\nCOPY pyproject.toml uv.lock ./\n"
    dockerfile.require_host_files(old, ["bot.py"])
    with pytest.raises(dockerfile.BadDockerfile, match=r"does not read internal/packages\.tar"):
        dockerfile.require_host_files(old, ["bot.py", ARCHIVE])

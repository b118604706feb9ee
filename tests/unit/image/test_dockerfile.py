"""The Dockerfile as voicecore reads it: its base, its last stage, what only Docker follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicecore.image.inputs import dockerfile
from voicecore.image.inputs.dockerfile import BadDockerfile

KNOWN = """\
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


def test_the_base_is_read_and_pinned_where_it_stands() -> None:
    pinned = dockerfile.with_base(KNOWN, "registry.example/python:3.13-slim@sha256:abc")
    assert dockerfile.base_of(KNOWN) == "registry.example/python:3.13-slim"
    assert dockerfile.base_of(pinned) == "registry.example/python:3.13-slim@sha256:abc"
    changed = set(KNOWN.splitlines()) ^ set(pinned.splitlines())
    assert len(changed) == 2


def test_a_dockerfile_without_a_base_says_what_is_missing() -> None:
    with pytest.raises(BadDockerfile, match="ARG BASE") as caught:
        dockerfile.base_of("FROM python:3.13\n")
    assert "FROM $BASE" in (caught.value.hint or "")


def test_a_missing_dockerfile_is_brought_back_by_init(tmp_path: Path) -> None:
    with pytest.raises(BadDockerfile, match="has no Dockerfile") as caught:
        dockerfile.read(tmp_path / "agent")
    assert "voicecore init" in (caught.value.hint or "")


def test_the_last_stage_is_read_whole() -> None:
    stage = dockerfile.last_stage(KNOWN, KNOWN)
    assert stage.env == {"PYTHONPATH": "/opt/packages", "GREETING": "Hello there"}
    assert stage.labels == {"team": "voice"}
    assert stage.copies == (("/image/opt/packages", "/opt/packages"), ("/image/app", "/app"))
    assert (stage.workdir, stage.user, stage.ports) == ("/app", "1000", ("8080/tcp",))
    assert stage.command == ("python", "app.py")


def test_a_users_own_last_stage_is_followed() -> None:
    mine = KNOWN.replace("USER 1000", "USER 2000").replace("GREETING", "WELCOME")
    stage = dockerfile.last_stage(mine, KNOWN)
    assert stage.user == "2000"
    assert stage.env["WELCOME"] == "Hello there"


def test_a_command_for_the_shell_stays_one() -> None:
    mine = KNOWN.replace('["python", "app.py"]', "python app.py")
    assert dockerfile.last_stage(mine, KNOWN).command == ("/bin/sh", "-c", "python app.py")


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
def test_what_only_docker_can_follow_is_named_with_its_line(old: str, new: str, line: int) -> None:
    with pytest.raises(BadDockerfile, match=f"line {line}:") as caught:
        dockerfile.last_stage(KNOWN.replace(old, new), KNOWN)
    assert "--builder buildx" in (caught.value.hint or "")


def test_another_base_does_not_disturb_the_rest() -> None:
    mine = dockerfile.with_base(KNOWN, "python:3.14")
    assert dockerfile.last_stage(mine, KNOWN) == dockerfile.last_stage(KNOWN, KNOWN)

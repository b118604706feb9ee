"""The user's Dockerfile, read: the base it stands on, and what its last stage says."""

from __future__ import annotations

import io
import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dockerfile_parse import DockerfileParser

from voicecore.console.errors import ExitCode, VoicecoreError

FILE = "Dockerfile"

_STAGES = ("--from=build", "--from=code")
"""Where the last stage copies from, in the Dockerfile that voicecore writes."""

_BASE = re.compile(r"(?m)^(?P<arg>ARG\s+BASE=)(?P<value>\S+)[^\S\n]*$")


class BadDockerfile(VoicecoreError):
    """The Dockerfile is missing, or says what a builder cannot follow; names the line."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY` with its value, continuation lines joined."""

    line: int
    name: str
    value: str


@dataclass(frozen=True)
class Stage:
    """What the last stage makes of its base: all that an image's config says."""

    env: dict[str, str] = field(default_factory=dict[str, str])
    copies: tuple[tuple[str, str], ...] = ()
    """(folder in the build stage, folder in the image), in their order: a layer each."""
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict[str, str])


def read(agent: Path) -> str:
    """The text of agent/Dockerfile. Raises BadDockerfile if there is none."""
    try:
        return (agent / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadDockerfile(
            f"{agent.name}/ has no {FILE}.",
            "Bring back what init made; your other files stay as they are:  "
            f"voicecore init {agent.parent.name} --directory {agent.parent.parent} --force",
        ) from None
    except UnicodeDecodeError as error:
        raise BadDockerfile(f"{agent / FILE} is no UTF-8 text: {error}.") from error


def write(agent: Path, text: str) -> None:
    """Replace agent/Dockerfile, all at once."""
    draft = agent / f".{FILE}.part"
    draft.write_text(text, encoding="utf-8")
    draft.replace(agent / FILE)


def base_of(text: str) -> str:
    """The base image by the line `ARG BASE=...`, with its digest if it has one."""
    found = _BASE.search(text)
    if not found:
        raise BadDockerfile(
            f"The {FILE} has no line `ARG BASE=<image>`, by which voicecore knows its base.",
            "Name the base in such a line, and use it:  FROM $BASE",
        )
    return found["value"]


def with_base(text: str, reference: str) -> str:
    """`text` with another base."""
    return _BASE.sub(lambda found: found["arg"] + reference, text, count=1)


def instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, without its comments."""
    # The parser reads bytes, whatever its types say.
    parser = DockerfileParser(fileobj=cast("Any", io.BytesIO(text.encode())))
    structure = cast("list[dict[str, Any]]", parser.structure)
    return [
        Instruction(part["startline"] + 1, part["instruction"], " ".join(part["value"].split()))
        for part in structure
        if part["instruction"] != "COMMENT"
    ]


def last_stage(text: str, known: str) -> Stage:
    """What the last stage of `text` says, for a builder that has no Docker.

    `known` is the Dockerfile that voicecore writes: all up to the last FROM must be as it is there,
    because such a builder does the same without running it. Raises BadDockerfile, which names the
    first line that only Docker can follow.
    """
    mine, theirs = _split(instructions(text)), _split(instructions(known))
    for here, there in zip(mine.build, theirs.build, strict=False):
        if (here.name, here.value) != (there.name, there.value):
            raise _only_docker(here)
    if len(mine.build) != len(theirs.build):
        raise _only_docker(mine.build[-1])
    return _stage(mine.last)


@dataclass(frozen=True)
class _Stages:
    build: list[Instruction]
    last: list[Instruction]


def _split(found: list[Instruction]) -> _Stages:
    starts = [number for number, part in enumerate(found) if part.name == "FROM"]
    if not starts:
        raise BadDockerfile(f"The {FILE} has no FROM.")
    # Which base it is does not matter to how the stages go on.
    build = [part for part in found[: starts[-1]] if not part.value.startswith("BASE=")]
    return _Stages(build, found[starts[-1] :])


def _stage(found: list[Instruction]) -> Stage:
    env: dict[str, str] = {}
    labels: dict[str, str] = {}
    copies: list[tuple[str, str]] = []
    ports: list[str] = []
    single: dict[str, str] = {}
    for part in found:
        words = shlex.split(part.value)
        match part.name:
            case "FROM" if words[-1] == "$BASE":
                pass
            case "ENV":
                env |= _pairs(part, words)
            case "LABEL":
                labels |= _pairs(part, words)
            case "COPY" if len(words) == 3 and words[0] in _STAGES:
                copies.append((words[1], words[2]))
            case "EXPOSE":
                ports += [word if "/" in word else f"{word}/tcp" for word in words]
            case "WORKDIR" | "USER" | "CMD" | "ENTRYPOINT":
                single[part.name] = part.value
            case "ARG" if part.value.startswith("SOURCE_DATE_EPOCH"):
                pass
            case _:
                raise _only_docker(part)
    return Stage(
        env=env,
        copies=tuple(copies),
        workdir=single.get("WORKDIR", ""),
        user=single.get("USER", ""),
        ports=tuple(ports),
        command=_argv(single.get("CMD", "")),
        entrypoint=_argv(single.get("ENTRYPOINT", "")),
        labels=labels,
    )


def _pairs(part: Instruction, words: list[str]) -> dict[str, str]:
    if not all("=" in word for word in words) or "$" in part.value:
        raise _only_docker(part)
    return dict(word.split("=", 1) for word in words)


def _argv(value: str) -> tuple[str, ...]:
    """A command as Docker reads it: a JSON list, or else a line for the shell."""
    if not value:
        return ()
    if value.startswith("["):
        return tuple(json.loads(value))
    return ("/bin/sh", "-c", value)


def _only_docker(part: Instruction) -> BadDockerfile:
    return BadDockerfile(
        f"{FILE}, line {part.line}: only Docker can follow this:  {part.name} {part.value}",
        "Build with Docker:         voicecore build --builder buildx\n"
        "or in AWS, without it:     voicecore build --builder codebuild --push REPOSITORY",
    )

"""Owns reading and editing the user's Dockerfile: its base image and its final stage."""

from __future__ import annotations

import io
import json
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dockerfile_parse import DockerfileParser

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.build_context import HOST_FILES
from voicecore.project.no_links import within

FILE = "Dockerfile"

CONTEXT = "."
"""Source of a COPY of the whole build context."""

_BUILD_STAGES = ("--from=build", "--from=code")
"""Stages that the final stage copies from, in the generated Dockerfile."""

_SHELL = ("CMD", "ENTRYPOINT")
"""Instructions in which Docker does not replace variables."""

_PORT = re.compile(r"\d{1,5}(-\d{1,5})?(/(tcp|udp|sctp))?", re.ASCII)

_BASE = re.compile(r"(?m)^(?P<arg>ARG\s+BASE=)(?P<value>\S+)[^\S\n]*$")


class BadDockerfile(VoicecoreError):
    """The Dockerfile is missing, or has a line that the builder cannot follow."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


class NeedsDocker(BadDockerfile):
    """The Dockerfile has a line that only Docker can run."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, such as COPY and its value, with continuation lines joined."""

    line: int
    name: str
    value: str


@dataclass(frozen=True)
class FinalStage:
    """The final stage's additions to its base: layers and fields of the image config."""

    env: dict[str, str] = field(default_factory=dict[str, str])
    copies: tuple[tuple[str, str], ...] = ()
    """(folder in the build stage, folder in the image) of each COPY, in order; one layer each.

    CONTEXT stands for the build context.
    """
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict[str, str])


def read(agent: Path) -> str:
    """Return the text of agent/Dockerfile. Raises BadDockerfile if it is missing."""
    try:
        return (agent / FILE).read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise BadDockerfile(
            f"{agent.name}/ has no {FILE}.",
            "Restore the generated file; no other file is changed:\n"
            f"  voicecore update -p {agent.parent} --restore {agent.name}/{FILE}",
        ) from None
    except UnicodeDecodeError as error:
        raise BadDockerfile(f"{agent / FILE} is not UTF-8 text: {error}.") from error


def write(agent: Path, text: str) -> None:
    """Replace agent/Dockerfile in one step; its line ends stay as they are."""
    draft = agent / f".{FILE}.part"
    file_of_windows = (agent / FILE).is_file() and b"\r\n" in (agent / FILE).read_bytes()
    ends = "\r\n" if file_of_windows else "\n"
    opener = within(agent.parent, mode=0o666)
    with open(draft, "w", encoding="utf-8", newline=ends, opener=opener) as file:
        file.write(text)
    draft.replace(agent / FILE)


def base_of(text: str) -> str:
    """Return the base image of the line `ARG BASE=...`, with its digest if it has one."""
    found = _BASE.search(text)
    if not found:
        raise BadDockerfile(
            f"The {FILE} has no line `ARG BASE=<image>`, which names the base image.",
            "Name the base in such a line, and use it:  FROM $BASE",
        )
    return found["value"]


def final_base(text: str) -> str:
    """Return the image that the final stage of a user's own Dockerfile is built on."""
    arguments: dict[str, str] = {}
    stages: dict[str, str] = {}
    base = ""
    for part in instructions(text):
        if part.name == "ARG" and "=" in part.value and not base:
            name, _, value = part.value.partition("=")
            arguments[name] = value.strip("\"'")
        elif part.name == "FROM":
            words = [w for w in expanded(part.value, arguments).split() if not w.startswith("--")]
            base = stages.get(words[0].lower(), words[0]) if words else ""
            if len(words) == 3:
                stages[words[2].lower()] = base
    if not base or "$" in base:
        raise BadDockerfile(f"The {FILE} has no FROM with the name of an image.")
    return base


def expanded(text: str, arguments: Mapping[str, str]) -> str:
    """Return a value of a Dockerfile with its arguments replaced, those without a value kept."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: arguments.get(found[1], found[0]), text)


def with_base(text: str, reference: str) -> str:
    """Return `text` with another base image."""
    return _BASE.sub(lambda found: found["arg"] + reference, text, count=1)


def require_host_files(text: str, paths: Sequence[str]) -> None:
    """Raise BadDockerfile if `paths` has files of host_packages.py that `text` does not read."""
    if set(HOST_FILES) & set(paths) and "internal/packages" not in text:
        raise BadDockerfile(
            f"The {FILE} does not read internal/packages.tar, which has the packages from your own "
            "index, from git or from a folder.",
            "Take over the lines of the generated file:  voicecore update",
        )


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, without comments."""
    # Another escape character changes how the lines continue, and where.
    if re.match(r"(#[^\n]*\n)*#\s*escape\s*=", text, re.IGNORECASE):
        raise BadDockerfile(f"{FILE} sets another escape character, which only Docker can read.")
    # The parser reads bytes, although its types say str.
    parser = DockerfileParser(fileobj=cast("Any", io.BytesIO(text.encode())))
    structure = cast("list[dict[str, Any]]", parser.structure)
    return [
        Instruction(part["startline"] + 1, part["instruction"], " ".join(part["value"].split()))
        for part in structure
        if part["instruction"] != "COMMENT"
    ]


def final_stage(text: str, generated: str) -> FinalStage:
    """Return the final stage of `text`, for a builder that has no Docker.

    Such a builder does what the earlier stages of the `generated` Dockerfile do without running
    them, so `text` must equal it up to the last FROM. Raises BadDockerfile, which names the first
    line that needs Docker.
    """
    mine, expected = _split(instructions(text)), _split(instructions(generated))
    for here, there in zip(mine.earlier, expected.earlier, strict=False):
        if (here.name, here.value) != (there.name, there.value):
            raise _needs_docker(here)
    if len(mine.earlier) != len(expected.earlier):
        raise _needs_docker([*mine.final[:1], *mine.earlier][-1])
    return _parse_stage(mine.final)


@dataclass(frozen=True)
class _Stages:
    earlier: list[Instruction]
    final: list[Instruction]


def _split(found: list[Instruction]) -> _Stages:
    starts = [number for number, part in enumerate(found) if part.name == "FROM"]
    if not starts:
        raise BadDockerfile(f"The {FILE} has no FROM.")
    # A different base does not change what the stages do.
    earlier = [
        part
        for part in found[: starts[-1]]
        if part.name != "ARG" or not part.value.startswith("BASE=")
    ]
    return _Stages(earlier, found[starts[-1] :])


def _parse_stage(found: list[Instruction]) -> FinalStage:
    env: dict[str, str] = {}
    labels: dict[str, str] = {}
    copies: list[tuple[str, str]] = []
    ports: list[str] = []
    single: dict[str, str] = {}
    argv: dict[str, tuple[str, ...]] = {}
    for part in found:
        words = _words(part)
        match part.name:
            case _ if not words:
                raise _wrong(part, "it has no value")
            case "FROM" if words[-1] == "$BASE":
                pass
            case _ if "$" in part.value and part.name not in _SHELL:
                raise _needs_docker(part)
            case "ENV":
                env |= _pairs(part, words)
            case "LABEL":
                labels |= _pairs(part, words)
            case "COPY" if len(words) == 3 and words[0] in _BUILD_STAGES:
                if not words[2].startswith("/"):  # relative to a WORKDIR
                    raise _needs_docker(part)
                copies.append((_resolved(words[1]), _resolved(words[2])))
            case "COPY" if len(words) == 2 and words[0] == CONTEXT and words[1].startswith("/"):
                copies.append((CONTEXT, _resolved(words[1])))
            case "EXPOSE":
                if wrong := [word for word in words if not _PORT.fullmatch(word)]:
                    raise _wrong(part, f"{wrong[0]} is not a port")
                ports += [word if "/" in word else f"{word}/tcp" for word in words]
            case "WORKDIR" if not part.value.startswith("/"):
                raise _needs_docker(part)
            case "CMD" | "ENTRYPOINT":
                argv[part.name] = _argv(part)
            case "WORKDIR" | "USER":
                single[part.name] = part.value
            case "ARG" if part.value.startswith("SOURCE_DATE_EPOCH"):
                pass
            case _:
                raise _needs_docker(part)
    return FinalStage(
        env=env,
        copies=tuple(copies),
        workdir=single.get("WORKDIR", ""),
        user=single.get("USER", ""),
        ports=tuple(ports),
        command=argv.get("CMD", ()),
        entrypoint=argv.get("ENTRYPOINT", ()),
        labels=labels,
    )


def _pairs(part: Instruction, words: list[str]) -> dict[str, str]:
    if not all("=" in word for word in words):
        raise _needs_docker(part)
    return dict(word.split("=", 1) for word in words)


def _resolved(path: str) -> str:
    """Return a path as Docker resolves it: from the root, which `..` does not leave."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _words(part: Instruction) -> list[str]:
    """Return the words of an instruction; a shell command is one. Raises BadDockerfile."""
    if part.name in _SHELL or not part.value:
        return [part.value] if part.value else []
    try:
        return shlex.split(part.value)
    except ValueError as error:
        reason = str(error)
        raise _wrong(part, reason[:1].lower() + reason[1:]) from error


def _argv(part: Instruction) -> tuple[str, ...]:
    """Return a command: a JSON list, or else a shell command line. Raises BadDockerfile.

    Docker takes a wrong list for a shell command line, which fails when the container starts.
    """
    if not part.value.startswith("["):
        return ("/bin/sh", "-c", part.value)
    try:
        found: object = json.loads(part.value)
    except (ValueError, RecursionError) as error:
        raise _wrong(part, f"it is not a JSON list: {error}") from error
    words = cast("list[object]", found) if isinstance(found, list) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise _wrong(part, "it is not a list of texts")
    return tuple(map(str, words))


def _wrong(part: Instruction, reason: str) -> BadDockerfile:
    return BadDockerfile(
        f"Could not read {FILE}, line {part.line}: {reason}:  {part.name} {part.value}".rstrip(),
        'Fix the line; a list is written like this:  CMD ["python", "-m", "internal.app"]'
        if part.name in _SHELL
        else "Fix the line.",
    )


def _needs_docker(part: Instruction) -> NeedsDocker:
    return NeedsDocker(
        f"{FILE}, line {part.line}: only Docker can run this:  {part.name} {part.value}",
        "Build with Docker:              voicecore build --builder buildx\n"
        "or in AWS, without Docker here: voicecore build --builder codebuild --push REPOSITORY",
    )

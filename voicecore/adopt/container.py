"""Owns reading the user's Dockerfile: what it starts, on what, and at which port."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import cast

from voicecore.image.inputs.dockerfile import BadDockerfile, expanded, instructions

_PYTHON = re.compile(r"python:?v?(3)\.(\d{1,2})")
_STARTERS = (("uv", "run"), ("poetry", "run"), ("pipenv", "run"), ("exec",))
"""Words that find the environment of a command, which `dev` does itself."""
_FLAGS = ("--no-sync", "--no-dev", "--frozen", "--locked", "--")


@dataclass(frozen=True)
class Container:
    """The agent's container, as its Dockerfile describes it."""

    base: str
    platform: str
    """Platform that FROM names; empty if it names none."""
    python: tuple[int, int] | None
    ports: tuple[int, ...]
    command: tuple[str, ...]
    """Words of ENTRYPOINT and CMD, without those that only find the environment."""


def read_container(text: str) -> Container | None:
    """Return what a Dockerfile says; None if it cannot be read."""
    try:
        found = instructions(text)
    except BadDockerfile:
        return None
    base, platform, arguments = "", "", dict[str, str]()
    ports: list[int] = []
    last: dict[str, tuple[str, ...]] = {}
    for part in found:
        if part.name == "ARG" and "=" in part.value:
            name, _, value = part.value.partition("=")
            arguments[name] = value.strip("\"'")
        if part.name == "FROM":
            words = expanded(part.value, arguments).split()
            flags = [word for word in words if word.startswith("--platform=")]
            platform = flags[0].partition("=")[2] if flags else ""
            base = next((word for word in words if not word.startswith("--")), "")
            ports, last = [], {}
        elif part.name == "EXPOSE":
            ports += [int(number) for number in re.findall(r"\d+", part.value)]
        elif part.name in ("CMD", "ENTRYPOINT"):
            last[part.name] = _words(part.value)
    version = _PYTHON.search(base)
    return Container(
        base=base,
        platform=platform,
        python=(int(version[1]), int(version[2])) if version else None,
        ports=tuple(ports),
        command=_plain((*last.get("ENTRYPOINT", ()), *last.get("CMD", ()))),
    )


def _words(value: str) -> tuple[str, ...]:
    try:
        if value.startswith("["):
            return tuple(map(str, cast("list[object]", json.loads(value))))
        words = tuple(shlex.split(value))
    except ValueError:
        return ()
    return ("sh", "-c", value) if {"&&", ";", "|", "||"} & {*words} else words


def _plain(words: tuple[str, ...]) -> tuple[str, ...]:
    for starter in _STARTERS:
        if words[: len(starter)] == starter:
            rest = list(words[len(starter) :])
            while rest and rest[0] in _FLAGS:
                rest.pop(0)
            return _plain(tuple(rest))
    return words

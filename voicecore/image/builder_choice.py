"""Owns the choice of the builder: buildx if Docker can build here, direct if not, or as asked."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.builders.buildx import require_buildx
from voicecore.image.docker.endpoint import EngineUnavailable
from voicecore.image.docker.engine import Engine, open_engine
from voicecore.image.plan import CannotBuild


@dataclass(frozen=True)
class LocalDocker:
    """The Docker engine of this machine, and whether it can build."""

    engine: Engine | None
    """The engine; None if there is none or none is needed."""
    problem: VoicecoreError | None
    """Error that explains why Docker cannot build; None if it can."""


@dataclass(frozen=True)
class BuilderChoice:
    """The builder to use."""

    name: str
    """"buildx", "direct" or "codebuild"."""
    problem: VoicecoreError | None = None
    """Reason for not using Docker; None if it is used, or if the builder was asked for."""


def require_possible(builder: str | None, push: str | None, check: bool) -> None:
    """Raise CannotBuild for options that contradict each other."""
    if builder == "codebuild" and not push:
        raise CannotBuild(
            "CodeBuild pushes what it builds, so it needs a repository.",
            "voicecore build --builder codebuild --push "
            "ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY",
            ExitCode.USAGE,
        )
    if builder == "codebuild" and check:
        raise CannotBuild(
            "An image built in AWS is not on this machine, so it cannot be run and checked here.",
            "Build it in AWS without --check. If all its packages have wheels, check it here:  "
            "voicecore build --check",
            ExitCode.USAGE,
        )


@contextmanager
def local_docker(
    builder: str | None, check: bool, env: Mapping[str, str]
) -> Generator[LocalDocker]:
    """Give the Docker engine of this machine, open during the block, or why it cannot build.

    No engine is opened if the `builder` asked for needs none.
    """
    if builder in ("direct", "codebuild") and not check:
        yield LocalDocker(None, None)
        return
    try:
        engine = open_engine(env)
    except EngineUnavailable as error:
        yield LocalDocker(None, error)
        return
    with engine:
        try:
            require_buildx(engine, env)
        except EngineUnavailable as error:
            yield LocalDocker(engine, error)
            return
        yield LocalDocker(engine, None)


def choose_builder(builder: str | None, docker: LocalDocker) -> BuilderChoice:
    """Return the `builder` asked for, else buildx if Docker can build, else direct.

    Raises the problem of Docker if buildx was asked for and Docker cannot build.
    """
    if builder == "buildx" and docker.problem:
        raise docker.problem
    if builder:
        return BuilderChoice(builder)
    if docker.problem:
        return BuilderChoice("direct", docker.problem)
    return BuilderChoice("buildx")

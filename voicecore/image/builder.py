"""Owns building a planned image: build, check, push, with the chosen builder."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from voicecore.console.errors import ExitCode
from voicecore.console.progress import OnProgress
from voicecore.image.builder_choice import BuilderChoice
from voicecore.image.builders import buildx, direct
from voicecore.image.builders.copy_layers import OnlyDocker
from voicecore.image.docker.engine import Engine
from voicecore.image.docker.smoke_test import SmokeTestResult
from voicecore.image.inputs import fingerprint, sbom
from voicecore.image.inputs.dockerfile import NeedsDocker
from voicecore.image.model import BaseImage, BuiltImage
from voicecore.image.plan import BuildPlan, CannotBuild, install_target, version_of, with_repository
from voicecore.image.registry.errors import TagTaken
from voicecore.image.registry.reference import Reference


@dataclass(frozen=True)
class BuildRequest:
    """Options for building a planned image."""

    builder: BuilderChoice
    engine: Engine | None
    """Docker engine of this machine; None if there is none or none is needed."""
    fresh: bool = False
    """True when nothing of earlier builds is reused."""
    check: bool = False
    """True when the image is run after the build."""
    repository: Callable[[], str] | None = None
    """Returns the repository to push to once it exists; None if the plan has it."""
    codebuild_role: str | None = None
    """ARN of the role for CodeBuild; None creates one."""


@dataclass(frozen=True)
class BuildResult:
    """A built image, and where it is."""

    builder: str
    """Name of the builder; empty if nothing was built."""
    image: BuiltImage | None
    """The image; None if the registry had it already."""
    location: str
    """Reference in a registry or an engine, or a folder."""
    digest: str
    """Digest of the manifest in the registry; empty if the image was not pushed."""
    smoke_test: SmokeTestResult | None


class FinishedBuild(Protocol):
    """An image that a builder has finished."""

    @property
    def image(self) -> BuiltImage:
        """The image."""
        ...

    @property
    def location(self) -> str:
        """Place of the image before a push: a reference or a folder."""
        ...

    @property
    def unchanged(self) -> bool:
        """True if an earlier build on this machine made the same image."""
        ...

    def check(self, engine: Engine) -> SmokeTestResult:
        """Run the image's smoke test in `engine`."""
        ...

    def push(self, target: Reference) -> str:
        """Push the image to `target`; return the digest of its manifest."""
        ...


def require_buildable(plan: BuildPlan, choice: BuilderChoice, env: Mapping[str, str]) -> None:
    """Raise what the chosen builder would refuse before it starts to build `plan`."""
    with _docker_explained(choice):
        if choice.name == "codebuild":
            # Imported late: other builders do not need boto3.
            from voicecore.image.builders import codebuild

            codebuild.require_buildable(plan)
        elif choice.name == "buildx":
            buildx.require_buildable(env)
        else:
            direct.require_buildable(plan, env)


@contextmanager
def _docker_explained(choice: BuilderChoice) -> Generator[None]:
    """Add to an error about a missing Docker why it cannot be used."""
    try:
        yield
    except (NeedsDocker, OnlyDocker) as error:
        if choice.problem is None:
            raise
        raise CannotBuild(
            f"{error.message}\n{choice.problem.message}",
            "Start or install Docker with buildx, then run the same command again\n"
            "or build in AWS:  voicecore build --builder codebuild --push REPOSITORY",
            error.exit_code,
        ) from error


def existing_image(plan: BuildPlan) -> BuildResult:
    """Return the image that the registry has already."""
    return BuildResult("", None, str(plan.target), plan.pushed_digest, None)


def build_image(
    plan: BuildPlan, request: BuildRequest, env: Mapping[str, str], on_progress: OnProgress
) -> BuildResult:
    """Build the image of `plan`, then check and push it as `request` says."""
    engine = _require_engine(request) if request.check else None
    with _docker_explained(request.builder):
        built = _build(plan, request, env, on_progress)
    smoke_test = built.check(engine) if engine else None
    if request.repository:
        plan = with_repository(plan, request.repository())
    if not plan.target:
        builder = "" if built.unchanged and not smoke_test else request.builder.name
        return BuildResult(builder, built.image, built.location, "", smoke_test)
    digest = plan.pushed_digest or _push(plan, plan.target, built)
    return BuildResult(request.builder.name, built.image, str(plan.target), digest, smoke_test)


def _require_engine(request: BuildRequest) -> Engine:
    if request.engine:
        return request.engine
    raise CannotBuild(
        "--check runs the image in Docker, which is not running here.",
        "Build without the check:  voicecore build",
        ExitCode.MISSING_TOOL,
    )


def _build(
    plan: BuildPlan, request: BuildRequest, env: Mapping[str, str], on_progress: OnProgress
) -> FinishedBuild:
    if request.builder.name == "codebuild":
        # Imported late: other builders do not need boto3.
        from voicecore.image.builders import codebuild

        return codebuild.build_plan(plan, request.fresh, request.codebuild_role, on_progress)
    if request.builder.name == "buildx" and request.engine:
        return buildx.build_plan(plan, request.fresh, request.engine, env, on_progress)
    return direct.build_plan(plan, request.fresh, env, on_progress)


def _push(plan: BuildPlan, target: Reference, built: FinishedBuild) -> str:
    """Push the image and return its digest, also if another build pushed it in the meantime."""
    try:
        return built.push(target)
    except TagTaken:
        # With immutable tags, the same image cannot be pushed twice at the same time.
        if digest := plan.digest_in(target):
            return digest
        raise


def write_sbom(plan: BuildPlan, digest: str, path: Path, env: Mapping[str, str]) -> None:
    """Write the image's SBOM to `path` as CycloneDX JSON. Raises CannotBuild and ExportFailed."""
    if plan.own:
        raise CannotBuild(
            "An SBOM is made from agent/uv.lock, and your own Dockerfile installs by itself.",
            "Make it from the image, for example:  docker sbom IMAGE",
            ExitCode.USAGE,
        )
    document = sbom.document(
        sbom.export(plan.folder, env),
        plan.lock,
        plan.base,
        name=plan.project.name,
        tag=plan.tag,
        version=version_of(plan.folder),
        digest=digest,
        target=install_target(plan.base),
    )
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def age_in_days(base: BaseImage) -> int | None:
    """Return the age of a base today; None if its creation time is not known."""
    return fingerprint.age_of(base, datetime.now(UTC))

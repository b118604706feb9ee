"""Owns the plan of an image: what to build, decided from files and registries before any build."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from voicecore.aws.login import AwsLogin
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.builders.host_packages import HostPackages, install_here
from voicecore.image.cache_folders import bases_folder, blobs_folder, locks_folder
from voicecore.image.inputs import (
    base_image,
    dockerfile,
    fingerprint,
    lockfile,
    own_dockerfile,
)
from voicecore.image.inputs.build_context import (
    NEVER_SENT,
    ContextFile,
    context_files,
    file_from_outside,
    sources_of,
)
from voicecore.image.inputs.git import revision_of
from voicecore.image.inputs.locked_packages import InstallTarget, has_folders, without_wheel
from voicecore.image.inputs.secret_scan import require_no_secrets
from voicecore.image.model import BaseImage
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import RegistryLogins
from voicecore.image.registry.reference import Reference, parse_reference
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.project import AGENT, Project


class CannotBuild(VoicecoreError):
    """The builder cannot do what was asked."""


@dataclass(frozen=True)
class BuildPlan:
    """An image to build, and its digest if a registry has it already."""

    project: Project
    part: str
    """Folder of the project that the image is built from: agent or server."""
    dockerfile: str
    """Text of the Dockerfile, with the base pinned to its digest."""
    base: BaseImage
    files: tuple[ContextFile, ...]
    tag: str
    labels: Mapping[str, str]
    target: Reference | None
    """Repository and tag to push to; None without a push."""
    pushed_digest: str
    """Digest of the image in `target`; empty if it is not there."""
    lock: Mapping[str, Any]
    """Content of uv.lock."""
    lock_created: str
    """Path of uv.lock in the project if planning created it; else empty."""
    pins_base: bool
    """True when the Dockerfile names its base without a digest."""
    logins: RegistryLogins = field(repr=False, compare=False)
    compiles: bool = False
    """True when a package has no wheel, so that the builder must compile it."""

    @property
    def folder(self) -> Path:
        """Folder of the build context."""
        return self.project.image_folder(self.part)

    @property
    def own(self) -> bool:
        """True when the Dockerfile is the user's own: nothing is known of how it installs."""
        return self.part == AGENT and not self.project.generated

    @property
    def sources(self) -> dict[str, Path]:
        """Source of each file that is not read from the folder: links' targets, packages."""
        return sources_of(self.files)

    @property
    def local_reference(self) -> str:
        """Reference of the image in an engine on this machine."""
        return f"{aws_names.repository_for(self.project.name)}:{self.tag}"

    def base_repository(self) -> Repository:
        """Return the repository of the base."""
        reference = parse_reference(self.base.reference)
        return Repository(reference, self.logins.source_for(reference.registry))

    def target_repository(self, target: Reference) -> Repository:
        """Return the repository of `target`, for a push."""
        return Repository(target, self.logins.source_for(target.registry), "pull,push")

    def digest_in(self, target: Reference) -> str:
        """Return the digest of `target` in its registry; empty if it is not there."""

        async def find() -> str:
            async with self.target_repository(target) as repository:
                found = await repository.find(target.tag)
            return found.digest if found else ""

        return asyncio.run(find())


def plan_build(
    project: Project,
    repository: str | None,
    compiles: bool,
    env: Mapping[str, str],
    login: AwsLogin,
    part: str = AGENT,
) -> BuildPlan:
    """Plan the image of a `part` of the project, and look for it in `repository`.

    A package without a wheel is an error unless the builder `compiles`. Writes uv.lock if it is
    missing. Raises the errors of lockfile, files, Dockerfile, base and registry.
    """
    target = _untagged(repository) if repository else None
    logins = RegistryLogins(login)
    if part == AGENT and not project.generated:
        plan = _plan_own(project, compiles, env, logins)
    else:
        plan = _plan_generated(project, part, compiles, env, logins)
    return with_repository(plan, target.name) if target else plan


def _plan_generated(
    project: Project, part: str, compiles: bool, env: Mapping[str, str], logins: RegistryLogins
) -> BuildPlan:
    """Plan the image of a part by its generated Dockerfile."""
    folder = project.image_folder(part)
    found = context_files(folder)
    text = dockerfile.read(folder)
    base_name = dockerfile.base_of(text)
    base = asyncio.run(base_image.resolve(base_name, bases_folder(env), logins))
    text = dockerfile.with_base(text, base.reference)
    locked = _check_lock(folder, base, compiles, env)
    files = _with_packages(folder, found, locked, text, base, env)
    tag = fingerprint.fingerprint(files, base.digest)
    return BuildPlan(
        project=project,
        part=part,
        dockerfile=text,
        base=base,
        files=files,
        tag=tag,
        labels=_labels_of(project, part, base, tag, env),
        target=None,
        pushed_digest="",
        lock=locked.content,
        lock_created=locked.created,
        pins_base=base_name != base.reference,
        logins=logins,
        compiles=bool(without_wheel(locked.content, install_target(base))),
    )


def _plan_own(
    project: Project, compiles: bool, env: Mapping[str, str], logins: RegistryLogins
) -> BuildPlan:
    """Plan the image of an adopted agent, by a Dockerfile that stays as it is."""
    folder = project.image_folder(AGENT)
    text = own_dockerfile.read(folder, project.root)
    found = context_files(folder, NEVER_SENT)
    listed = project.agent_program.requirements
    if listed:
        found = sorted([*found, *file_from_outside(folder, listed)], key=lambda file: file.path)
    secrets = dotenv_of(project.agent)
    require_no_secrets(folder, [file.path for file in found], secrets, sources_of(found))
    name = dockerfile.final_base(text)
    base = asyncio.run(base_image.resolve(name, bases_folder(env), logins))
    missing = own_dockerfile.without_wheel(text, listed, env)
    if missing and not compiles:
        raise missing
    tag = fingerprint.fingerprint(found, base.digest)
    return BuildPlan(
        project=project,
        part=AGENT,
        dockerfile=text,
        base=base,
        files=tuple(found),
        tag=tag,
        labels=_labels_of(project, AGENT, base, tag, env),
        target=None,
        pushed_digest="",
        lock={},
        lock_created="",
        pins_base=False,
        logins=logins,
        compiles=bool(missing),
    )


def _untagged(repository: str) -> Reference:
    reference = parse_reference(repository)
    if reference.tag or reference.digest:
        raise CannotBuild(
            f"{repository} has a tag; voicecore tags an image by its fingerprint.",
            f"Name the repository without a tag:  voicecore build --push {reference.name}",
            ExitCode.USAGE,
        )
    return reference


def with_repository(plan: BuildPlan, repository: str) -> BuildPlan:
    """Return the plan with a repository to push to, after looking for the image there."""
    target = parse_reference(f"{repository}:{plan.tag}")
    return replace(plan, target=target, pushed_digest=plan.digest_in(target))


def pin_base(plan: BuildPlan) -> None:
    """Write the base's digest into the Dockerfile if it names none."""
    if plan.pins_base:
        dockerfile.write(plan.folder, plan.dockerfile)


def install_target(base: BaseImage) -> InstallTarget:
    """Return what packages are installed for on this base."""
    return InstallTarget(python=python_of(base))


def python_of(base: BaseImage) -> tuple[int, int]:
    """Return the Python version of a base, from the PYTHON_VERSION that official images set."""
    config = cast("dict[str, Any]", base.config.get("config") or {})
    entries = cast("list[str]", config.get("Env") or [])
    env = dict(entry.split("=", 1) for entry in entries)
    version = re.match(r"(\d{1,3})\.(\d{1,3})(?!\d)", env.get("PYTHON_VERSION", ""), re.ASCII)
    if not version:
        raise CannotBuild(
            f"{base.name} does not say which Python it has (PYTHON_VERSION).",
            "Use an official Python image:  "
            "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
            ExitCode.BAD_PROJECT,
        )
    return int(version[1]), int(version[2])


def _labels_of(
    project: Project, part: str, base: BaseImage, tag: str, env: Mapping[str, str]
) -> dict[str, str]:
    folder = project.image_folder(part)
    name = project.name if part == AGENT else f"{project.name}-{part}"
    return fingerprint.labels(name, version_of(folder), revision_of(folder, env), base, tag)


def version_of(folder: Path) -> str:
    """Return the version in the folder's pyproject.toml; empty if there is none."""
    path = folder / "pyproject.toml"
    settings = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    return str(settings.get("project", {}).get("version", ""))


@dataclass(frozen=True)
class _Locked:
    """The lockfile of a part."""

    path: Path
    content: Mapping[str, Any]
    created: str
    """Path in the project if it was created; else empty."""


def _check_lock(folder: Path, base: BaseImage, compiles: bool, env: Mapping[str, str]) -> _Locked:
    """Check that uv.lock is current and has the necessary wheels; create it if it is missing.

    A marker file stores that a lockfile is good: asking uv again takes one of the two seconds that
    a build after an edit may take.
    """
    target = install_target(base)
    kind = "compiled" if compiles else "wheels"
    path = lockfile.lock_path(folder, env)

    def marker() -> Path:
        return locks_folder(env) / f"{_lock_key(folder, path, target)}-{kind}"

    created = not path.exists()
    if created or not marker().exists():
        lockfile.ensure_lock(folder, env)
        content = lockfile.read_lock(folder, path)
        lockfile.require_virtual(folder, content)
        if not compiles:
            lockfile.require_wheels(folder, content, target, path)
        # A requirement that is a folder can change without changing the key.
        if not has_folders(content, target):
            passed = marker()  # uv.lock may be new, which changes the key
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()
    content = lockfile.read_lock(folder, path)
    return _Locked(path, content, os.path.relpath(path, folder.parent) if created else "")


def _with_packages(
    folder: Path,
    found: list[ContextFile],
    locked: _Locked,
    text: str,
    base: BaseImage,
    env: Mapping[str, str],
) -> tuple[ContextFile, ...]:
    """Return the files `found` in `folder` and those of the packages that are installed here.

    Raises SecretInContext, BadDockerfile and the errors of `install_here`.
    """
    if locked.created:
        found = context_files(folder)
    sources = sources_of(found)
    require_no_secrets(folder, [file.path for file in found], dotenv_of(folder), sources)
    target = install_target(base)
    key = _lock_key(folder, locked.path, target)
    wanted = HostPackages(folder, locked.content, key, target)
    in_workspace = locked.path.parent != folder
    packages = install_here(wanted, in_workspace, without_ours(env), blobs_folder(env))
    dockerfile.require_host_files(text, [file.path for file in packages])
    return tuple(fingerprint.with_content([*found, *packages], fingerprint.DOCKERFILE, text))


def _lock_key(folder: Path, lock: Path, target: InstallTarget) -> str:
    key = hashlib.sha256(f"{fingerprint.BUILD_VERSION} {target}".encode())
    for path in (folder / "pyproject.toml", lock.with_name("pyproject.toml"), lock):
        key.update(path.read_bytes() if path.exists() else b"")
    return key.hexdigest()

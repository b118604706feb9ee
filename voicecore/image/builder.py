"""From a project to its image: what is to be made is decided first, then made, run and pushed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.builders import buildx, direct
from voicecore.image.cache import bases_in, locks_in, store_in
from voicecore.image.docker.engine import Engine, EngineUnavailable, open_engine
from voicecore.image.docker.push import push as push_by_engine
from voicecore.image.docker.smoke_test import Checked, check
from voicecore.image.inputs import base_image, dockerfile, fingerprint, lockfile, sbom
from voicecore.image.inputs.fingerprint import ContextFile
from voicecore.image.inputs.secret_scan import require_none
from voicecore.image.model import Base, Image, Tell
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import Logins
from voicecore.image.registry.errors import TagTaken
from voicecore.image.registry.manifests import image_of
from voicecore.image.registry.reference import Reference, parse_reference
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.project import AGENT, Project


class CannotBuild(VoicecoreError):
    """What was asked of a builder is not in its power."""


@dataclass(frozen=True)
class Plan:
    """What is to be made, decided from files and registries before anything is."""

    project: Project
    part: str
    """The folder of the project that the image is made of: agent or server."""
    dockerfile: str
    """Its text, with the base pinned."""
    base: Base
    files: tuple[ContextFile, ...]
    tag: str
    labels: Mapping[str, str]
    target: Reference | None
    """Where it is to be pushed, with the tag."""
    there: str
    """The digest by which `target` has it already; empty if it has not."""
    locked: bool
    """Whether uv.lock was made on the way."""
    pins: bool
    """Whether the base in the Dockerfile has no digest yet."""
    logins: Logins = field(repr=False, compare=False)
    """To the registries, as far as one had to log in to decide."""

    @property
    def folder(self) -> Path:
        """What the image is made of."""
        return self.project.root / self.part

    @property
    def local(self) -> str:
        """What an engine on this machine knows the image by."""
        return f"{aws_names.repository_for(self.project.name)}:{self.tag}"


@dataclass(frozen=True)
class Made:
    """What a builder has made, and where it is."""

    builder: str
    """Empty where nothing had to be made."""
    image: Image | None
    """None where nothing had to be made."""
    reference: str
    digest: str
    """Of the manifest that a registry knows it by; empty where it has not been pushed."""
    checked: Checked | None


def require_possible(builder: str | None, push: str | None, checks: bool) -> None:
    """Raise CannotBuild for what no project and no machine makes possible."""
    if builder == "codebuild" and not push:
        raise CannotBuild(
            "CodeBuild pushes what it has built, and was not told where.",
            "voicecore build --builder codebuild --push "
            "ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY",
            ExitCode.USAGE,
        )
    if builder == "codebuild" and checks:
        raise CannotBuild(
            "An image that is built in AWS is not here to be run and checked.",
            "Build it there first, without --check; then here, if all its packages have wheels:  "
            "voicecore build --check",
            ExitCode.USAGE,
        )


def plan(
    project: Project,
    push: str | None,
    compiles: bool,
    env: Mapping[str, str],
    profile: str | None = None,
    part: str = AGENT,
) -> Plan:
    """Decide what image a `part` of the project makes, and whether `push` has it already.

    `push` is a repository. A package without a wheel is an error unless the builder `compiles`.
    Writes uv.lock if there is none. Raises what is wrong with the lockfile, the files, the
    Dockerfile, the base or the registry.
    """
    folder = project.root / part
    target = parse_reference(push) if push else None
    if target and (target.tag or target.digest):
        raise CannotBuild(
            f"{push} has a tag; voicecore tags an image by what is in it.",
            f"Name the repository alone:  voicecore build --push {target.name}",
            ExitCode.USAGE,
        )
    text = dockerfile.read(folder)
    named = dockerfile.base_of(text)
    pinned = asyncio.run(base_image.resolve(named, bases_in(env)))
    locked = _check_lock(folder, lockfile.Target(python=python_of(pinned)), compiles, env)
    found = fingerprint.context_of(folder)
    require_none(folder, [file.path for file in found], dotenv_of(folder))
    text = dockerfile.with_base(text, pinned.reference)
    files = fingerprint.with_content(found, fingerprint.DOCKERFILE, text)
    tag = fingerprint.fingerprint(files, pinned.digest)
    made = Plan(
        project=project,
        part=part,
        dockerfile=text,
        base=pinned,
        files=tuple(files),
        tag=tag,
        labels=fingerprint.labels(
            project.name if part == AGENT else f"{project.name}-{part}",
            _version_of(folder),
            _revision_of(folder, env),
            pinned,
            tag,
        ),
        target=None,
        there="",
        locked=locked,
        pins=named != pinned.reference,
        logins=Logins(profile),
    )
    return aimed(made, target.name) if target else made


def aimed(plan: Plan, repository: str) -> Plan:
    """The plan with a repository to push to, which may have the image already."""
    target = parse_reference(f"{repository}:{plan.tag}")
    return replace(plan, target=target, there=asyncio.run(_digest_in(target, plan.logins)))


def pin(plan: Plan) -> None:
    """Write the base's digest into the Dockerfile, where `plan` found none."""
    if plan.pins:
        dockerfile.write(plan.folder, plan.dockerfile)


def python_of(base: Base) -> tuple[int, int]:
    """The Python of a base, by the PYTHON_VERSION that the official images set."""
    told = cast("dict[str, Any]", base.config.get("config") or {})
    entries = cast("list[str]", told.get("Env") or [])
    env = dict(entry.split("=", 1) for entry in entries)
    version = env.get("PYTHON_VERSION", "").split(".")
    if len(version) < 2:
        raise CannotBuild(
            f"{base.name} does not say which Python it has (PYTHON_VERSION).",
            "Stand on an official Python image:  "
            "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
            ExitCode.BAD_PROJECT,
        )
    return int(version[0]), int(version[1])


def _check_lock(
    folder: Path, target: lockfile.Target, compiles: bool, env: Mapping[str, str]
) -> bool:
    """See that uv.lock is current and has all wheels it must; returns whether it was made.

    What was found good once is noted, because asking uv again takes a second of the two that a
    build after an edit should take.
    """
    kind = "compiled" if compiles else "wheels"

    def note_of_it() -> Path:
        return locks_in(env) / f"{_lock_key(folder, target)}-{kind}"

    made = not (folder / lockfile.LOCK).exists()
    if made or not note_of_it().exists():
        lockfile.ensure_lock(folder, env)
        if not compiles:
            lockfile.require_wheels(folder, target)
        note = note_of_it()  # of the lockfile as it is now
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    return made


def _lock_key(folder: Path, target: lockfile.Target) -> str:
    key = hashlib.sha256(f"{fingerprint.RECIPE} {target}".encode())
    for name in ("pyproject.toml", lockfile.LOCK):
        path = folder / name
        key.update(path.read_bytes() if path.exists() else b"")
    return key.hexdigest()


async def _digest_in(target: Reference, logins: Logins) -> str:
    async with _to(target, logins) as repository:
        found = await repository.find(target.tag)
    return found.digest if found else ""


def _to(target: Reference, logins: Logins) -> Repository:
    return Repository(target, logins.of(target.registry), "pull,push")


def _version_of(folder: Path) -> str:
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    return str(settings.get("project", {}).get("version", ""))


def _revision_of(folder: Path, env: Mapping[str, str]) -> str | None:
    """The commit that the files are of; "-dirty" where they have been changed since."""

    def git(*words: str) -> str | None:
        try:
            run = subprocess.run(
                ["git", "-C", str(folder), *words], env=dict(env), capture_output=True, text=True
            )
        except FileNotFoundError:
            return None
        return run.stdout.strip() if run.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and git("status", "--porcelain", "--", ".") else commit


# ---- which builder


@dataclass(frozen=True)
class Choice:
    """The builder that is to build, and why it is this one where nobody chose it."""

    builder: str
    reason: str = ""


@dataclass(frozen=True)
class Docker:
    """What there is of Docker on this machine."""

    running: Engine | None
    trouble: VoicecoreError | None
    """Why it cannot build; None if it can."""


@contextmanager
def docker_for(wanted: str | None, checks: bool, env: Mapping[str, str]) -> Generator[Docker]:
    """The Docker engine of this machine, held open, or why there is none to build with.

    `wanted` is the builder that was asked for; it may be one that needs no engine.
    """
    if wanted in ("direct", "codebuild") and not checks:
        yield Docker(None, None)
        return
    try:
        running = open_engine(env)
    except EngineUnavailable as error:
        yield Docker(None, error)
        return
    with running:
        try:
            buildx.require(running, env)
        except EngineUnavailable as error:
            yield Docker(running, error)
            return
        yield Docker(running, None)


def choose(wanted: str | None, docker: Docker) -> Choice:
    """The builder: buildx where Docker is, direct where it is not.

    Raises why Docker cannot build if it is wanted all the same.
    """
    if wanted == "buildx" and docker.trouble:
        raise docker.trouble
    if wanted:
        return Choice(wanted)
    if docker.trouble:
        return Choice("direct", docker.trouble.message)
    return Choice("buildx")


# ---- the three ways to make it


@dataclass(frozen=True)
class Wish:
    """What is wanted of the builder, besides the image."""

    fresh: bool = False
    """Nothing that was kept of earlier builds is used."""
    check: bool = False
    repository: Callable[[], str] | None = None
    """Where to push, for who does not know it when the building begins."""


def found(plan: Plan) -> Made:
    """What the registry has already."""
    return Made("", None, str(plan.target), plan.there, None)


def make_by_buildx(
    plan: Plan, wish: Wish, engine: Engine, env: Mapping[str, str], tell: Tell
) -> Made:
    """Build by the Dockerfile, in the engine; check and push from there."""
    order = buildx.Order(
        context=plan.folder,
        name=plan.local,
        base=plan.base.reference,
        epoch=fingerprint.epoch_of(plan.base),
        labels=plan.labels,
        no_cache=wish.fresh,
    )
    if wish.fresh or not engine.has(plan.local):
        buildx.build(engine, order, env, tell)
    image = engine.inspect(plan.local, plan.tag, base_layers=len(plan.base.manifest["layers"]))
    checked = check(engine, plan.local, image, tell) if wish.check else None
    plan = _aimed_late(plan, wish)
    target = plan.target
    if not target:
        return Made("buildx", image, plan.local, "", checked)

    def push() -> str:
        engine.tag(plan.local, target.name, target.tag)
        source = plan.logins.of(target.registry)
        return push_by_engine(engine, image, target, source, tell)

    return Made("buildx", image, str(target), _pushed(plan, target, push), checked)


def make_directly(
    plan: Plan,
    wish: Wish,
    known: str,
    engine: Engine | None,
    env: Mapping[str, str],
    tell: Tell,
) -> Made:
    """Build without Docker, push straight to the registry; a check takes an engine still.

    `known` is the Dockerfile as `init` writes it, whose build stage this does in its own way.
    """
    if wish.check and not engine:
        raise CannotBuild(
            "To check the image is to run it, which takes Docker; none is running here.",
            "Build without a check:  voicecore build",
            ExitCode.MISSING_TOOL,
        )
    inputs = direct.Inputs(
        agent=plan.folder,
        files=[file.path for file in plan.files],
        base=plan.base,
        stage=dockerfile.last_stage(plan.dockerfile, known),
        labels=plan.labels,
        tag=plan.tag,
        packages_key=fingerprint.packages_key(plan.files, plan.base.digest),
        library_key=fingerprint.library_key(plan.files, plan.base.digest),
        python=".".join(map(str, python_of(plan.base))),
    )
    made = asyncio.run(_build(inputs, plan, wish, env, tell))
    checked = None
    if wish.check and engine:
        asyncio.run(_load(made, plan, engine, tell))
        checked = check(engine, plan.local, made.image, tell)
    plan = _aimed_late(plan, wish)
    target = plan.target
    if not target:
        return Made("direct", made.image, str(made.store), "", checked)
    digest = _pushed(plan, target, lambda: asyncio.run(_push(made, plan, target, tell)))
    return Made("direct", made.image, str(target), digest, checked)


def _aimed_late(plan: Plan, wish: Wish) -> Plan:
    return aimed(plan, wish.repository()) if wish.repository else plan


def _pushed(plan: Plan, target: Reference, push: Callable[[], str]) -> str:
    """The digest of what is pushed, or was by somebody else meanwhile."""
    if plan.there:
        return plan.there
    try:
        return push()
    except TagTaken:
        # Where tags do not move, the same image cannot be pushed twice at the same time.
        if there := asyncio.run(_digest_in(target, plan.logins)):
            return there
        raise


def _home_of(plan: Plan) -> Repository:
    """Where the base is to be had."""
    reference = parse_reference(plan.base.reference)
    return Repository(reference, plan.logins.of(reference.registry))


async def _build(
    inputs: direct.Inputs, plan: Plan, wish: Wish, env: Mapping[str, str], tell: Tell
) -> direct.Made:
    async with _home_of(plan) as source:
        store = store_in(env)
        return await direct.build(inputs, store, source, without_ours(env), tell, wish.fresh)


async def _push(made: direct.Made, plan: Plan, target: Reference, tell: Tell) -> str:
    async with (
        _to(target, plan.logins) as repository,
        _home_of(plan) as source,
    ):
        pushed = await direct.push(made, repository, source, tell)
    return pushed.digest


async def _load(made: direct.Made, plan: Plan, engine: Engine, tell: Tell) -> None:
    """Hand an image that was built without Docker to an engine."""
    with tempfile.TemporaryDirectory(prefix="voicecore-") as folder:
        tar = Path(folder) / "image.tar"
        async with _home_of(plan) as source:
            await direct.save(made, tar, source, plan.local, tell)
        await asyncio.to_thread(engine.load, tar)


def make_in_aws(plan: Plan, target: Reference, wish: Wish, role: str | None, tell: Tell) -> Made:
    """Build by the Dockerfile on AWS's own arm64 machines, which push to ECR themselves.

    `role` is the ARN of a role that may; without one it is made.
    """
    # Who builds here and pushes elsewhere need not wait for boto3.
    from voicecore.image.builders import codebuild
    from voicecore.image.builders.buildspec import Remote

    runs = lockfile.Target(python=python_of(plan.base))
    remote = Remote(
        project=plan.project.name,
        agent=plan.folder,
        files=[file.path for file in plan.files],
        target=target,
        base=plan.base.reference,
        epoch=fingerprint.epoch_of(plan.base),
        packages_key=fingerprint.packages_key(plan.files, plan.base.digest),
        labels=plan.labels,
        compiles=bool(lockfile.without_wheel(lockfile.read_lock(plan.folder), runs)),
        fresh=wish.fresh,
    )
    codebuild.build(codebuild.connect(target, plan.logins.profile), remote, tell, role=role)
    image = asyncio.run(_as_pushed(plan, target))
    return Made("codebuild", image, str(target), image.digest, None)


async def _as_pushed(plan: Plan, target: Reference) -> Image:
    """The image as its registry describes it."""
    async with _to(target, plan.logins) as repository:
        found = await repository.image(plan.tag)
    layers = len(plan.base.manifest["layers"])
    return image_of(plan.tag, found.digest, found.manifest, found.config, layers)


def write_sbom(plan: Plan, digest: str, path: Path, env: Mapping[str, str]) -> None:
    """Write what the image is made of to `path`, as CycloneDX JSON. Raises sbom.ExportFailed."""
    document = sbom.document(
        sbom.export(plan.folder, env),
        lockfile.read_lock(plan.folder),
        plan.base,
        name=plan.project.name,
        tag=plan.tag,
        version=_version_of(plan.folder),
        digest=digest,
        target=lockfile.Target(python=python_of(plan.base)),
    )
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def age_in_days(base: Base) -> int | None:
    """How old a base is today; None where it does not say."""
    return fingerprint.age_of(base, datetime.now(UTC))

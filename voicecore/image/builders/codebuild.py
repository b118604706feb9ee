"""The `codebuild` builder: builds with the Dockerfile in AWS, which pushes the image.

codebuild_resources.py creates and deletes what it needs in the account.
"""

# botocore has no types; its clients are `Any`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import (
    NO_ANSWER,
    AwsRefused,
    NotAllowed,
    ignoring,
    is_expired,
    translate_error,
    translated_errors,
)
from voicecore.aws.login import AwsLogin
from voicecore.aws.session import Aws, upload
from voicecore.catalog import regions
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.builders import buildspec
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.buildx_output import BuildTranscript
from voicecore.image.builders.codebuild_failures import (
    PHASES,
    RemoteBuildStopped,
    build_failure,
    failed_phase,
    log_hint,
    phase_message,
)
from voicecore.image.builders.codebuild_resources import (
    ensure_bucket,
    ensure_log_group,
    ensure_project,
    ensure_role,
    is_role_too_new,
    require_own_resources,
)
from voicecore.image.docker.engine import Engine
from voicecore.image.docker.smoke_test import SmokeTestResult
from voicecore.image.inputs import fingerprint
from voicecore.image.model import BuiltImage
from voicecore.image.plan import BuildPlan
from voicecore.image.registry.credentials import EcrHost, ecr_host
from voicecore.image.registry.manifests import image_of
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names


class NoArmBuilds(VoicecoreError):
    """CodeBuild has no arm64 machines in the region of the repository."""


class NotEcr(VoicecoreError):
    """CodeBuild can push only to ECR, which its role has access to."""


@dataclass(frozen=True)
class BuildTimings:
    """Waits and limits in seconds; tests use shorter ones."""

    poll: float = 1.0
    """Wait between two requests for the build's state."""
    limit: float = 60.0 * buildspec.MINUTES
    """Limit for the whole build."""
    role: Sequence[float] = (5.0, 10.0, 15.0)
    """Wait before each retry with a new role, which takes IAM a while to propagate."""
    log: float = 5.0
    """Limit for the end of the log to arrive after the build."""


def build_plan(
    plan: BuildPlan, fresh: bool, role: str | None, on_progress: OnProgress
) -> RemoteBuild:
    """Build the image of `plan` and push it to its target. Raises as `build` and `connect` do."""
    if plan.target is None:
        raise AssertionError("a build in AWS has a target")
    inputs = CodeBuildInputs(
        owner=plan.project.owner,
        agent=plan.folder,
        files=[file.path for file in plan.files],
        target=plan.target,
        base=plan.base.reference,
        epoch=fingerprint.epoch_of(plan.base),
        packages_key=fingerprint.packages_key(plan.files, plan.base.digest),
        labels=plan.labels,
        compiles=plan.compiles,
        sources=plan.sources,
        fresh=fresh,
        rules=plan.project.rules,
    )
    build(connect(plan.target, plan.logins.aws), inputs, on_progress, role=role)
    return RemoteBuild(asyncio.run(_pushed_image(plan, plan.target)), str(plan.target))


async def _pushed_image(plan: BuildPlan, target: Reference) -> BuiltImage:
    async with plan.target_repository(target) as repository:
        found = await repository.image(plan.tag)
    layers = len(plan.base.manifest["layers"])
    return image_of(plan.tag, found.digest, found.manifest, found.config, layers)


@dataclass(frozen=True)
class RemoteBuild:
    """An image that was built in AWS and pushed from there."""

    image: BuiltImage
    location: str
    unchanged: bool = False

    def check(self, engine: Engine) -> SmokeTestResult:
        """Not possible: the image is not on this machine (`builder_choice.require_possible`)."""
        raise NotImplementedError

    def push(self, target: Reference) -> str:
        """Return the digest of the manifest; the image is in `target` already."""
        del target
        return self.image.digest


def require_buildable(plan: BuildPlan) -> None:
    """Raise NotEcr or NoArmBuilds if CodeBuild cannot push to the repository of `plan`."""
    if plan.target:
        _ecr_of(plan.target)


def connect(target: Reference, login: AwsLogin) -> Aws:
    """Return our account in the region of `target`.

    Raises NotEcr, NoArmBuilds or AwsRefused.
    """
    ecr = _ecr_of(target)
    with translated_errors(profile=login.profile):
        return login.connect(ecr.region)


def _ecr_of(target: Reference) -> EcrHost:
    ecr = ecr_host(target.registry)
    if not ecr:
        raise NotEcr(
            f"CodeBuild pushes only to Amazon ECR; {target.name} is not an ECR repository.",
            "Create one:  aws ecr create-repository --repository-name "
            f"{target.repository}\n"
            "or, if every package has an arm64 wheel, build here:  "
            f"voicecore build --push {target.name}",
            ExitCode.USAGE,
        )
    if ecr.region not in regions.ARM_BUILDS:
        raise NoArmBuilds(
            f"CodeBuild has no arm64 machines in {ecr.region}; it has them in "
            f"{', '.join(regions.ARM_BUILDS)}.",
            "Push to a repository in one of these regions\n"
            "or, if every package has an arm64 wheel, build here:  "
            f"voicecore build --push {target.name}",
            ExitCode.USAGE,
        )
    return ecr


def build(
    aws: Aws,
    inputs: CodeBuildInputs,
    on_progress: OnProgress,
    role: str | None = None,
    timings: BuildTimings | None = None,
) -> None:
    """Build `inputs` in AWS, push the image, and wait for the end.

    `role` is the ARN of the role to build with; None creates one. Ctrl-C stops the build in AWS.
    Raises AwsRefused, ForeignResource, RemoteBuildFailed or RemoteBuildStopped.
    """
    timings = timings or BuildTimings()
    with _role_advice(), translated_errors():
        require_own_resources(aws, inputs.owner)
        bucket = ensure_bucket(aws, inputs.owner, inputs.rules)
        ensure_log_group(aws, inputs.owner, inputs.rules)
        own = role is None
        arn = role or ensure_role(aws, inputs.owner, inputs.target, inputs.rules)
        ensure_project(aws, inputs.owner, arn, timings.role, inputs.rules)
        _upload_source(aws, bucket, inputs, on_progress)
        run = _BuildRun(aws, inputs, on_progress, timings)
        run.until_done(attempts=1 + len(timings.role) if own else 1)


@contextmanager
def _role_advice() -> Generator[None]:
    """Add to an error about IAM how to use an existing role instead."""
    try:
        yield
    except NotAllowed as error:
        if not error.action.startswith("iam:"):
            raise
        raise NotAllowed(
            error.message,
            f"{error.hint}\nOr name an existing role:  voicecore build --builder codebuild "
            "--codebuild-role ARN --push REPOSITORY",
            error.action,
        ) from error


def _upload_source(aws: Aws, bucket: str, inputs: CodeBuildInputs, on_progress: OnProgress) -> None:
    task = "uploading the source"
    with tempfile.TemporaryFile() as file:
        buildspec.write_source(inputs, file)
        total, sent = file.tell(), 0
        file.seek(0)

        def advance(count: int) -> None:
            nonlocal sent
            sent += count
            on_progress(Progress(task, sent, total))

        upload(aws, file, bucket, inputs.key, advance)
        on_progress(Progress(task, total, total, finished=True))


# ---- the build


@dataclass
class _BuildRun:
    """One build from start to end, and its log."""

    aws: Aws
    inputs: CodeBuildInputs
    on_progress: OnProgress
    timings: BuildTimings
    log: deque[str] = field(default_factory=lambda: deque[str](maxlen=400))
    _token: str = ""
    _finished_phases: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.transcript = BuildTranscript(self.on_progress)

    def until_done(self, attempts: int) -> None:
        """Start the build and wait for its end; start again if the new role was not yet known.

        Raises RemoteBuildFailed or RemoteBuildStopped.
        """
        for attempt in range(attempts):
            self._token, self._finished_phases = "", set()
            self.transcript = BuildTranscript(self.on_progress)
            self.log.clear()
            ended = self._once()
            if ended["buildStatus"] == "SUCCEEDED":
                return
            if attempt + 1 == attempts or not _failed_by_new_role(ended):
                raise build_failure(ended, self.log, self.transcript, self.inputs, self.aws.region)
            time.sleep(self.timings.role[attempt])

    def _once(self) -> Mapping[str, Any]:
        project = self.inputs.project
        bucket = aws_names.builder_bucket_for(project, self.aws.account, self.aws.region)
        started = self.aws.client("codebuild").start_build(
            projectName=aws_names.builder_for(project),
            sourceLocationOverride=f"{bucket}/{self.inputs.key}",
            # JSON is valid YAML. With line breaks it is not mistaken for a path, as in the CDK's
            # BuildSpec.fromObject.
            buildspecOverride=json.dumps(
                buildspec.buildspec(self.inputs, self.aws.region), indent=2
            ),
        )["build"]
        build_id = str(started["id"])
        try:
            return self._wait(build_id)
        except KeyboardInterrupt:
            self._stop(build_id)
            raise RemoteBuildStopped(
                f"Interrupted; the build {build_id} was stopped in AWS too.",
                exit_code=ExitCode.INTERRUPTED,
            ) from None
        except ClientError as error:
            if not is_expired(error):
                raise
            raise AwsRefused(
                f"Your AWS credentials have expired; the build {build_id} continues in AWS.",
                f"{translate_error(error, profile=self.aws.profile).hint}\n"
                "Then build again; an image that is in the repository by then is not built twice.",
            ) from error

    def _wait(self, build_id: str) -> Mapping[str, Any]:
        until = time.monotonic() + self.timings.limit
        while True:
            # The build continues in AWS, so a lost connection does not end the wait.
            with suppress(*NO_ANSWER):
                build = self.aws.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
                self._report_phases(build)
                self._read_log(build)
                if build["buildStatus"] != "IN_PROGRESS":
                    self._read_rest(build)
                    return build
            if time.monotonic() > until:
                self._stop(build_id)
                raise RemoteBuildStopped(
                    f"The build {build_id} was stopped in AWS after "
                    f"{self.timings.limit / 60:.0f} minutes.",
                    log_hint(self.inputs.project, self.aws.region, build_id.partition(":")[2]),
                )
            time.sleep(self.timings.poll)

    def _stop(self, build_id: str) -> None:
        with ignoring("ResourceNotFoundException"):
            self.aws.client("codebuild").stop_build(id=build_id)

    def _report_phases(self, build: Mapping[str, Any]) -> None:
        for phase in build.get("phases", []):
            kind = phase["phaseType"]
            if kind not in PHASES or kind in self._finished_phases:
                continue
            if "phaseStatus" in phase:
                self._finished_phases.add(kind)
                seconds = phase.get("durationInSeconds", 0)
                status = phase["phaseStatus"]
                outcome = "" if status == "SUCCEEDED" else status.lower()
                note = f"{outcome} {seconds} s in AWS".strip()
                self.on_progress(Progress(PHASES[kind], finished=True, note=note))
            else:
                self.on_progress(Progress(PHASES[kind]))

    def _read_log(self, build: Mapping[str, Any]) -> bool:
        """Read new lines of the log; return whether there were any."""
        place = build.get("logs", {})
        if not place.get("groupName") or not place.get("streamName"):
            return False
        news = False
        while True:
            with ignoring("ResourceNotFoundException"):
                page = self.aws.client("logs").get_log_events(
                    logGroupName=place["groupName"],
                    logStreamName=place["streamName"],
                    startFromHead=True,
                    **({"nextToken": self._token} if self._token else {}),
                )
                for event in page["events"]:
                    for line in event["message"].splitlines():
                        self.log.append(line)
                        # BuildKit prints plain lines here, so a JSON line is another program's.
                        if not line.startswith(("{", "[Container] ")):
                            self.transcript.add_line(line)
                # The same token again means that there are no more events yet (API Reference,
                # GetLogEvents).
                more = page["nextForwardToken"] != self._token and page["events"]
                self._token = page["nextForwardToken"]
                news = news or bool(page["events"])
                if more:
                    continue
            return news

    def _read_rest(self, build: Mapping[str, Any]) -> None:
        until = time.monotonic() + self.timings.log
        while time.monotonic() < until:
            news = self._read_log(build)
            if not news and any("Phase complete: POST_BUILD" in line for line in self.log):
                return
            time.sleep(self.timings.poll)


def _failed_by_new_role(build: Mapping[str, Any]) -> bool:
    """Return whether a build failed before its first command because its role is too new."""
    phase = failed_phase(build)
    early = phase.get("phaseType") in ("QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")
    message = phase_message(phase)
    return early and bool(
        is_role_too_new(message) or re.search(r"AccessDenied|not authorized|Access Denied", message)
    )

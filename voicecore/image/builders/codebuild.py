"""The `codebuild` builder: the Dockerfile, built and pushed on AWS's own arm64 machines.

What it needs of the account is made and taken away by codebuild_resources.py.
"""

# botocore has no types; its clients are `Any`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws import session
from voicecore.aws.errors import (
    NO_ANSWER,
    AwsRefused,
    NotAllowed,
    ignoring,
    is_expired,
    translate_error,
    translated_errors,
)
from voicecore.aws.session import Aws, upload
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.builders import buildspec
from voicecore.image.builders.buildspec import Remote
from voicecore.image.builders.buildx import Transcript
from voicecore.image.builders.codebuild_resources import (
    ensure_bucket,
    ensure_log_group,
    ensure_project,
    ensure_role,
    is_role_too_new,
)
from voicecore.image.model import Tell
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names

_OUTPUT_LINES = 15

# CodeBuild's phases, as people would call what happens in them; the others take no time.
_PHASES = {
    "QUEUED": "waiting for a machine",
    "PROVISIONING": "starting the machine",
    "DOWNLOAD_SOURCE": "fetching the source",
    "PRE_BUILD": "logging in to the registry",
    "BUILD": "building",
    "POST_BUILD": "pushing",
}


class NotEcr(VoicecoreError):
    """CodeBuild's role opens ECR's repositories, and no others."""


class RemoteBuildFailed(VoicecoreError):
    """The build in AWS ended without an image; shows where, and the end of its log."""


class RemoteBuildStopped(VoicecoreError):
    """The build in AWS was stopped, here or there."""


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds; tests have less time."""

    poll: float = 1.0
    """Between two looks at the build."""
    limit: float = 60.0 * buildspec.MINUTES
    """For the whole build."""
    role: Sequence[float] = (5.0, 10.0, 15.0)
    """Before each further try with a role that was just made: IAM tells the world slowly."""
    log: float = 5.0
    """For the end of the log to arrive after the build has ended."""


def connect(target: Reference, profile: str | None = None) -> Aws:
    """The account that we are, by `profile` if one is named, in the region of `target`.

    Raises NotEcr or AwsRefused.
    """
    ecr = ecr_host(target.registry)
    if not ecr:
        raise NotEcr(
            f"CodeBuild pushes to Amazon ECR; {target.name} is not there.",
            "Make a repository there:  aws ecr create-repository --repository-name "
            f"{target.repository}\nor build here:  voicecore build --builder direct --push "
            f"{target.name}",
            ExitCode.USAGE,
        )
    with translated_errors(profile=profile):
        return session.connect(ecr.region, profile)


def build(
    aws: Aws, remote: Remote, tell: Tell, role: str | None = None, pace: Pace | None = None
) -> None:
    """Build and push `remote` in AWS, and wait until that is done.

    `role` is the ARN of a role to build with; without one it is made. Ctrl-C stops the build there.
    Raises AwsRefused, RemoteBuildFailed or RemoteBuildStopped.
    """
    pace = pace or Pace()
    with _role_advice(), translated_errors():
        bucket = ensure_bucket(aws, remote.project)
        ensure_log_group(aws, remote.project)
        own = role is None
        arn = role or ensure_role(aws, remote.project, remote.target)
        ensure_project(aws, remote.project, arn, pace.role)
        _send_source(aws, bucket, remote, tell)
        _Build(aws, remote, tell, pace).run(tries=1 + len(pace.role) if own else 1)


@contextmanager
def _role_advice() -> Generator[None]:
    """Add to an error about IAM that an existing role will do."""
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


def _send_source(aws: Aws, bucket: str, remote: Remote, tell: Tell) -> None:
    with tempfile.TemporaryFile() as file:
        buildspec.write_source(remote, file)
        total, sent = file.tell(), 0
        file.seek(0)

        def advance(count: int) -> None:
            nonlocal sent
            sent += count
            tell(Progress("source to AWS", sent, total))

        upload(aws, file, bucket, remote.key, advance)
        tell(Progress("source to AWS", total, total, finished=True))


# ---- the build


@dataclass
class _Build:
    """One build, from its start to its end, and the log it writes meanwhile."""

    aws: Aws
    remote: Remote
    tell: Tell
    pace: Pace
    log: deque[str] = field(default_factory=lambda: deque[str](maxlen=400))
    _token: str = ""
    _told: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.transcript = Transcript(self.tell)

    def run(self, tries: int) -> None:
        """Start it, wait for its end, and start again where only the role was too new.

        Raises RemoteBuildFailed or RemoteBuildStopped.
        """
        for attempt in range(tries):
            self._token, self._told, self.transcript = "", set(), Transcript(self.tell)
            self.log.clear()
            ended = self._once()
            if ended["buildStatus"] == "SUCCEEDED":
                return
            if attempt + 1 == tries or not _is_only_the_role(ended):
                raise _failure(ended, self.log, self.transcript, self.aws, self.remote)
            time.sleep(self.pace.role[attempt])

    def _once(self) -> Mapping[str, Any]:
        bucket = aws_names.builder_bucket_for(
            self.remote.project, self.aws.account, self.aws.region
        )
        started = self.aws.client("codebuild").start_build(
            projectName=aws_names.builder_for(self.remote.project),
            sourceLocationOverride=f"{bucket}/{self.remote.key}",
            # JSON is YAML, and in lines it is no path (as the CDK's BuildSpec.fromObject gives it).
            buildspecOverride=json.dumps(
                buildspec.buildspec(self.remote, self.aws.region), indent=2
            ),
        )["build"]
        build_id = str(started["id"])
        try:
            return self._wait(build_id)
        except KeyboardInterrupt:
            self._stop(build_id)
            raise RemoteBuildStopped(
                f"Interrupted; the build {build_id} was stopped in AWS, too.",
                exit_code=ExitCode.INTERRUPTED,
            ) from None
        except ClientError as error:
            if not is_expired(error):
                raise
            raise AwsRefused(
                f"Your AWS credentials have expired; the build {build_id} goes on without us.",
                f"{translate_error(error, profile=self.aws.profile).hint}\n"
                "Then build again: what is in the repository by then is not built twice.",
            ) from error

    def _wait(self, build_id: str) -> Mapping[str, Any]:
        until = time.monotonic() + self.pace.limit
        while True:
            # The build goes on without us: while the network is away, so do we.
            with suppress(*NO_ANSWER):
                build = self.aws.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
                self._tell_phases(build)
                self._read_log(build)
                if build["buildStatus"] != "IN_PROGRESS":
                    self._read_rest(build)
                    return build
            if time.monotonic() > until:
                self._stop(build_id)
                raise RemoteBuildStopped(
                    f"The build {build_id} was stopped in AWS: it had taken more than "
                    f"{self.pace.limit / 60:.0f} minutes.",
                    _see_log(self.aws, self.remote, build_id.partition(":")[2]),
                )
            time.sleep(self.pace.poll)

    def _stop(self, build_id: str) -> None:
        with ignoring("ResourceNotFoundException"):
            self.aws.client("codebuild").stop_build(id=build_id)

    def _tell_phases(self, build: Mapping[str, Any]) -> None:
        for phase in build.get("phases", []):
            kind = phase["phaseType"]
            if kind not in _PHASES or kind in self._told:
                continue
            if "phaseStatus" in phase:
                self._told.add(kind)
                seconds = phase.get("durationInSeconds", 0)
                note = "" if phase["phaseStatus"] == "SUCCEEDED" else phase["phaseStatus"].lower()
                told = f"{note} {seconds} s in AWS".strip()
                self.tell(Progress(_PHASES[kind], finished=True, note=told))
            else:
                self.tell(Progress(_PHASES[kind]))

    def _read_log(self, build: Mapping[str, Any]) -> bool:
        """Read what is new in the log; returns whether there was any."""
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
                        # BuildKit's lines, and a few of other programs; none is its JSON.
                        if not line.startswith(("{", "[Container] ")):
                            self.transcript.line(line)
                # The same token again is the end, for now (API Reference, GetLogEvents).
                more = page["nextForwardToken"] != self._token and page["events"]
                self._token = page["nextForwardToken"]
                news = news or bool(page["events"])
                if more:
                    continue
            return news

    def _read_rest(self, build: Mapping[str, Any]) -> None:
        until = time.monotonic() + self.pace.log
        while time.monotonic() < until:
            news = self._read_log(build)
            if not news and any("Phase complete: POST_BUILD" in line for line in self.log):
                return
            time.sleep(self.pace.poll)


def _failed_phase(build: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(
        (
            phase
            for phase in build.get("phases", [])
            if phase.get("phaseStatus", "SUCCEEDED") not in ("SUCCEEDED", "IN_PROGRESS")
        ),
        {},
    )


def _said(phase: Mapping[str, Any]) -> str:
    contexts = phase.get("contexts") or []
    return " ".join(str(context.get("message", "")).strip() for context in contexts).strip()


def _is_only_the_role(build: Mapping[str, Any]) -> bool:
    """Whether a build ended before its first command because its role is not known everywhere."""
    phase = _failed_phase(build)
    before = phase.get("phaseType") in ("QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")
    said = _said(phase)
    return before and bool(
        is_role_too_new(said) or re.search(r"AccessDenied|not authorized|Access Denied", said)
    )


_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"toomanyrequests",
        "Docker Hub gives AWS's machines no more images today.",
        "Stand on the same image from AWS's own registry:  "
        "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
    ),
    (
        r"name unknown|repository with name .* does not exist",
        "The repository is not there.",
        "Make it:  aws ecr create-repository --repository-name {repository} --region {region}",
    ),
    (
        r"not authorized to perform:? (ecr:\w+)",
        "The role that builds may not do {1}.",
        "Give the role that action on the repository, or let voicecore make a role of its own: "
        "leave --codebuild-role out.",
    ),
    (
        r"tag invalid: The image tag '.*' already exists",
        "The repository's tags are immutable, and this one is there already.",
        "Look at it:  aws ecr describe-images --repository-name {repository} --region {region}",
    ),
    (
        r"no space left on device",
        "The build needs more room than CodeBuild's machine has (64 GB).",
        "Leave large files out of the image, by agent/.dockerignore.",
    ),
)


def _failure(
    build: Mapping[str, Any], log: Iterable[str], transcript: Transcript, aws: Aws, remote: Remote
) -> VoicecoreError:
    build_id = str(build["id"])
    see = _see_log(aws, remote, build.get("logs", {}).get("streamName", ""))
    status = build["buildStatus"]
    if status == "STOPPED":
        return RemoteBuildStopped(f"The build {build_id} was stopped in AWS by someone else.", see)
    phase = _failed_phase(build)
    kind = str(phase.get("phaseType", "build"))
    place = transcript.place.replace("Dockerfile:", "Dockerfile, line ")
    where = ", ".join(filter(None, (_PHASES.get(kind, kind), place)))
    # What CodeBuild itself says is the command, and that it failed.
    printed = [line for line in log if line.strip() and not line.startswith("[Container] ")]
    shown = transcript.output or [*printed, _said(phase)]
    cause, hint = _cause_of("\n".join([_said(phase), *printed]), aws, remote)
    lines = [
        f"The build in AWS {_ENDS.get(status, status)} while {where}:",
        *(f"  {line}" for line in transcript.excerpt),
        *shown[-_OUTPUT_LINES:],
        cause,
    ]
    return RemoteBuildFailed("\n".join(filter(None, lines)), f"{hint}\n{see}".strip())


_ENDS = {
    "FAILED": "failed",
    "FAULT": "broke, by a fault of AWS,",
    "TIMED_OUT": f"ran out of its {buildspec.MINUTES} minutes",
}


def _cause_of(words: str, aws: Aws, remote: Remote) -> tuple[str, str]:
    known = {"repository": remote.target.repository, "region": aws.region}
    for pattern, cause, hint in _CAUSES:
        if found := re.search(pattern, words):
            return cause.format(found[0], *found.groups(), **known), hint.format(**known)
    return "", ""


def _see_log(aws: Aws, remote: Remote, stream: str) -> str:
    group = aws_names.builder_log_group_for(remote.project)
    only = f" --log-stream-names {stream}" if stream else ""
    return f"See all of its log:  aws logs tail {group}{only} --since 1h --region {aws.region}"

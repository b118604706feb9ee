"""Owns the errors of builds in AWS: the failed phase, the end of the log, and known causes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from voicecore.console.errors import VoicecoreError
from voicecore.image.builders import buildspec
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.buildx_output import BuildTranscript
from voicecore.project import aws_names

_OUTPUT_LINES = 15

PHASES = {
    "QUEUED": "waiting for a machine",
    "PROVISIONING": "starting the machine",
    "DOWNLOAD_SOURCE": "downloading the source",
    "PRE_BUILD": "logging in to the registry",
    "BUILD": "building",
    "POST_BUILD": "pushing",
}
"""Titles of CodeBuild's phases; the others take no time."""


class RemoteBuildFailed(VoicecoreError):
    """The build in AWS ended without an image; shows the phase and the end of its log."""


class RemoteBuildStopped(VoicecoreError):
    """The build in AWS was stopped, by voicecore or by someone else."""


_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"toomanyrequests",
        "Docker Hub's pull limit for AWS's machines is reached.",
        "Use the same image from AWS's own registry:  "
        "voicecore upgrade-base public.ecr.aws/docker/library/python:3.13-slim-trixie",
    ),
    (
        r"name unknown|repository with name .* does not exist",
        "The repository does not exist.",
        "Create it:  aws ecr create-repository --repository-name {repository} --region {region}",
    ),
    (
        r"not authorized to perform:? (ecr:\w+)",
        "The build's role has no permission for {1}.",
        "Allow the role that action on the repository, or let voicecore create a role: "
        "omit --codebuild-role.",
    ),
    (
        r"tag invalid: The image tag '.*' already exists",
        "The repository's tags are immutable, and this tag already exists.",
        "Look at it:  aws ecr describe-images --repository-name {repository} --region {region}",
    ),
    (
        r"no space left on device",
        "The build needs more disk space than CodeBuild's machine has (64 GB).",
        "Exclude large files from the image in agent/.dockerignore.",
    ),
)
"""(pattern in the log, cause, what to do)."""

_ENDS = {
    "FAILED": "failed",
    "FAULT": "failed because of an AWS fault",
    "TIMED_OUT": f"exceeded its {buildspec.MINUTES} minutes",
}


def build_failure(
    build: Mapping[str, Any],
    log: Iterable[str],
    transcript: BuildTranscript,
    inputs: CodeBuildInputs,
    region: str,
) -> VoicecoreError:
    """Return the error for a build that ended without success."""
    build_id = str(build["id"])
    see = log_hint(inputs.project, region, build.get("logs", {}).get("streamName", ""))
    status = build["buildStatus"]
    if status == "STOPPED":
        return RemoteBuildStopped(f"The build {build_id} was stopped in AWS by someone else.", see)
    phase = failed_phase(build)
    kind = str(phase.get("phaseType", "build"))
    place = transcript.place.replace("Dockerfile:", "Dockerfile, line ")
    where = ", ".join(filter(None, (PHASES.get(kind, kind), place)))
    # CodeBuild's own lines only repeat the command and say that it failed.
    printed = [line for line in log if line.strip() and not line.startswith("[Container] ")]
    shown = transcript.output or [*printed, phase_message(phase)]
    cause, hint = _cause_of("\n".join([phase_message(phase), *printed]), inputs, region)
    lines = [
        f"The build in AWS {_ENDS.get(status, status)} while {where}:",
        *(f"  {line}" for line in transcript.excerpt),
        *shown[-_OUTPUT_LINES:],
        cause,
    ]
    return RemoteBuildFailed("\n".join(filter(None, lines)), f"{hint}\n{see}".strip())


def failed_phase(build: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the phase that failed; empty if none did."""
    for phase in cast("list[dict[str, Any]]", build.get("phases", [])):
        if phase.get("phaseStatus", "SUCCEEDED") not in ("SUCCEEDED", "IN_PROGRESS"):
            return phase
    return {}


def phase_message(phase: Mapping[str, Any]) -> str:
    """Return CodeBuild's message about a phase."""
    contexts = cast("list[dict[str, Any]]", phase.get("contexts") or [])
    return " ".join(str(context.get("message", "")).strip() for context in contexts).strip()


def log_hint(project: str, region: str, stream: str) -> str:
    """Return the hint that shows the whole log of a build."""
    group = aws_names.builder_log_group_for(project)
    only = f" --log-stream-names {stream}" if stream else ""
    return f"Show the whole log:  aws logs tail {group}{only} --since 1h --region {region}"


def _cause_of(text: str, inputs: CodeBuildInputs, region: str) -> tuple[str, str]:
    known = {"repository": inputs.target.repository, "region": region}
    for pattern, cause, hint in _CAUSES:
        if found := re.search(pattern, text):
            return cause.format(found[0], *found.groups(), **known), hint.format(**known)
    return "", ""

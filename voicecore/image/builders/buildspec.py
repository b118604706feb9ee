"""Owns what CodeBuild gets: the source, the buildspec, the project and the policies.

Shapes: CodeBuild API Reference; buildspec: CodeBuild User Guide, "Build specification reference".
"""

from __future__ import annotations

import re
import shlex
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from voicecore import __version__
from voicecore.image.builders.buildx_command import BuildxInputs, buildx_argv
from voicecore.image.inputs.context_walk import IGNORE_FILE
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names
from voicecore.project.identity import Owner
from voicecore.project.settings.account_rules import AccountRules

MACHINE = {
    "type": "ARM_CONTAINER",
    # CodeBuild User Guide, build-env-ref-available: Amazon Linux 2023 with Docker and buildx.
    "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
    "computeType": "BUILD_GENERAL1_MEDIUM",
    "privilegedMode": True,  # needed for Docker
}
MINUTES = 15
"""Limit for one build."""

LOG_DAYS = 30
SOURCE_DAYS = 7

# The base without "-slim" has the same Python and compilers (docker-library/python).
_SLIM = re.compile(r"-slim(?=-|$)")
_STAGE = re.compile(r"(?im)^[ \t]*FROM\s+.*\sAS\s+(\S+)\s*$")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip (APPNOTE 4.4.6)


@dataclass(frozen=True)
class CodeBuildInputs:
    """Everything that AWS builds an image from."""

    owner: Owner
    agent: Path
    files: Sequence[str]
    """The build context: paths relative to `agent`, with forward slashes."""
    target: Reference
    """Repository and tag in ECR."""
    base: str
    """Base image with its digest."""
    epoch: int
    """Creation time of the image, in seconds since 1970."""
    packages_key: str
    """Cache key of the packages: depends on their inputs alone."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    compiles: bool = False
    """True when a package has no wheel and must be compiled."""
    fresh: bool = False
    """True when nothing of earlier builds is reused."""
    sources: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Source of each file that is not read from `agent`."""
    rules: AccountRules = field(default_factory=AccountRules)
    """Rules of the account's administrator for resources of builds."""

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.owner.project

    @property
    def image(self) -> str:
        """Reference that the image is pushed to."""
        return self.target.named(self.target.tag)

    @property
    def cache(self) -> str:
        """Reference that the build stage is pushed to, for later builds to reuse."""
        return self.target.named(f"cache-{self.packages_key[:20]}")

    @property
    def key(self) -> str:
        """Key of the source in the bucket."""
        return f"{self.target.tag}.zip"


def write_source(inputs: CodeBuildInputs, file: IO[bytes]) -> None:
    """Write the build context as a zip; equal files give equal bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(inputs.files):
            if name == IGNORE_FILE and inputs.sources:
                continue  # `files` is what it leaves, and more
            path = inputs.sources.get(name, inputs.agent / name)
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if path.is_symlink():
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, str(path.readlink()))
                continue
            executable = path.stat().st_mode & stat.S_IXUSR
            entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            with path.open("rb") as content, archive.open(entry, "w") as packed:
                while block := content.read(1 << 20):
                    packed.write(block)


def buildspec(inputs: CodeBuildInputs, region: str) -> dict[str, Any]:
    """Return the commands of each phase; a phase ends at its first command that fails."""
    login = (
        f"aws ecr get-login-password --region {shlex.quote(region)} | "
        f"docker login --username AWS --password-stdin {shlex.quote(inputs.target.registry)}"
    )
    stage = None if inputs.fresh else _build_stage(inputs)
    builds = [_build(inputs, inputs.image)]
    pushes = [shlex.join(["docker", "push", inputs.image])]
    if stage:
        # The packages' layers are in the build stage, which is not part of the image. It is pushed
        # too, once for each set of packages: the engine's driver has no other cache that outlives
        # the machine (docs.docker.com/build/cache/backends).
        options = ["--target", stage, "--cache-to", "type=inline"]
        builds.insert(0, _build(inputs, inputs.cache, *options))
        cache = shlex.quote(inputs.cache)
        pushes.append(
            f"docker manifest inspect {cache} > /dev/null 2>&1 || docker push {cache} || "
            "echo 'Could not cache the build stage; the next build repeats all of it.'"
        )
    return {
        "version": "0.2",
        "phases": {
            "pre_build": {"commands": [login]},
            "build": {"commands": builds},
            # CodeBuild also runs this phase after a failed build (build-env-ref-env-vars).
            "post_build": {"commands": ['test "$CODEBUILD_BUILD_SUCCEEDING" = 1', *pushes]},
        },
    }


def _build(inputs: CodeBuildInputs, name: str, *more: str) -> str:
    build = BuildxInputs(
        context=Path(),
        name=name,
        base=inputs.base,
        epoch=inputs.epoch,
        labels=inputs.labels,
        no_cache=inputs.fresh,
    )
    *command, context = buildx_argv(build, {})
    if inputs.compiles:
        compilers = _SLIM.sub("", inputs.base.partition("@")[0])
        command += ["--build-arg", f"BUILD_BASE={compilers}", "--build-arg", "WHEELS="]
    if not inputs.fresh:
        command += ["--cache-from", f"type=registry,ref={inputs.cache}"]
    return shlex.join([*command, *more, context])


def _build_stage(inputs: CodeBuildInputs) -> str | None:
    """Return the last named stage of the Dockerfile, which the image copies from."""
    text = (inputs.agent / "Dockerfile").read_text(encoding="utf-8-sig")
    stages = _STAGE.findall(text)
    return stages[-1] if stages else None


def project_settings(
    owner: Owner, account: str, region: str, role: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the parameters of CreateProject and UpdateProject."""
    name = owner.project
    return {
        "name": aws_names.builder_for(name),
        "description": f"Builds the image of the voice agent {name}",
        "source": {
            "type": "S3",
            "location": f"{aws_names.builder_bucket_for(name, account, region)}/source.zip",
            # Every build overrides it.
            "buildspec": "version: 0.2\nphases:\n  build:\n    commands:\n      - false\n",
        },
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": MACHINE,
        "serviceRole": role,
        "timeoutInMinutes": MINUTES,
        "queuedTimeoutInMinutes": MINUTES,
        "logsConfig": {
            "cloudWatchLogs": {
                "status": "ENABLED",
                "groupName": aws_names.builder_log_group_for(name),
            }
        },
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


def tags(owner: Owner, rules: AccountRules) -> dict[str, str]:
    """Return the tags of all resources; voicecore's own show which are ours."""
    own = {**rules.tags, aws_names.TAG_PROJECT: owner.project, aws_names.TAG_VERSION: __version__}
    return own | ({aws_names.TAG_ID: owner.id} if owner.id else {})


def trust(account: str) -> dict[str, Any]:
    """Return the role's trust policy: CodeBuild, for this account alone.

    CodeBuild User Guide, security-iam.
    """
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )


def permissions(
    name: str, partition: str, account: str, region: str, repository: str
) -> dict[str, Any]:
    """Return the role's permissions: read the source, write logs, push to `repository` (an ARN)."""
    bucket = f"arn:{partition}:s3:::{aws_names.builder_bucket_for(name, account, region)}"
    logs = (
        f"arn:{partition}:logs:{region}:{account}:log-group:{aws_names.builder_log_group_for(name)}"
    )
    return _policy(
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ],
            "Resource": repository,
        },
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [logs, f"{logs}:*"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"StringEquals": {"s3:ResourceAccount": account}},
        },
    )


def tls_only(partition: str, bucket: str) -> dict[str, Any]:
    """Return the bucket's policy, which denies requests without TLS (S3 User Guide, security)."""
    arn = f"arn:{partition}:s3:::{bucket}"
    return _policy(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def _policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}

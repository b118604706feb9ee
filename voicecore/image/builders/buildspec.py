"""What CodeBuild is told to do: its source, its commands, and what its role may. Pure.

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
from voicecore.image.builders import buildx
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names

MACHINE = {
    "type": "ARM_CONTAINER",
    # CodeBuild User Guide, build-env-ref-available: Amazon Linux 2023 with Docker and buildx.
    "image": "aws/codebuild/amazonlinux-aarch64-standard:3.0",
    "computeType": "BUILD_GENERAL1_MEDIUM",
    "privilegedMode": True,  # without it there is no Docker inside
}
MINUTES = 15
"""The longest that a build may take."""

LOG_DAYS = 30
SOURCE_DAYS = 7

# What a stage is compiled on: the same Python as the base, with compilers (docker-library/python).
_SLIM = re.compile(r"-slim(?=-|$)")
_STAGE = re.compile(r"(?im)^\s*FROM\s+.*\sAS\s+(\S+)\s*$")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a zip (APPNOTE 4.4.6)


@dataclass(frozen=True)
class Remote:
    """What is to be built in AWS."""

    project: str
    agent: Path
    files: Sequence[str]
    """Of the context: paths relative to `agent`, with forward slashes."""
    target: Reference
    """Repository and tag, of ECR."""
    base: str
    """The base with its digest."""
    epoch: int
    packages_key: str
    """Names the kept layers of the packages: a function of what they are made from."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    compiles: bool = False
    """Whether a package has no wheel, and is compiled."""
    fresh: bool = False
    """Whether nothing that was kept of earlier builds is used."""

    @property
    def image(self) -> str:
        """Where the image is pushed to."""
        return self.target.named(self.target.tag)

    @property
    def kept(self) -> str:
        """Where the build stage is pushed to, for the next build to start from."""
        return self.target.named(f"cache-{self.packages_key[:20]}")

    @property
    def key(self) -> str:
        """The source's key in the bucket."""
        return f"{self.target.tag}.zip"


def write_source(remote: Remote, file: IO[bytes]) -> None:
    """Write the context as a zip; the same files give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(remote.files):
            path = remote.agent / name
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


def buildspec(remote: Remote, region: str) -> dict[str, Any]:
    """The commands, phase by phase; each phase ends at its first command that fails."""
    login = (
        f"aws ecr get-login-password --region {shlex.quote(region)} | "
        f"docker login --username AWS --password-stdin {shlex.quote(remote.target.registry)}"
    )
    stage = None if remote.fresh else _build_stage(remote)
    builds = [_build(remote, remote.image)]
    pushes = [shlex.join(["docker", "push", remote.image])]
    if stage:
        # An image keeps no layers but its own, and those of the packages are in the build stage. So
        # that is pushed as well, once for each set of packages: the engine's own driver has no
        # other cache that outlives the machine (docs.docker.com/build/cache/backends).
        keep = ["--target", stage, "--cache-to", "type=inline"]
        builds.insert(0, _build(remote, remote.kept, *keep))
        kept = shlex.quote(remote.kept)
        pushes.append(
            f"docker manifest inspect {kept} > /dev/null 2>&1 || docker push {kept} || "
            "echo 'The build stage could not be kept; the next build does all of it again.'"
        )
    return {
        "version": "0.2",
        "phases": {
            "pre_build": {"commands": [login]},
            "build": {"commands": builds},
            # CodeBuild runs this phase after a failed build, too (build-env-ref-env-vars).
            "post_build": {"commands": ['test "$CODEBUILD_BUILD_SUCCEEDING" = 1', *pushes]},
        },
    }


def _build(remote: Remote, name: str, *more: str) -> str:
    order = buildx.Order(
        context=Path(),
        name=name,
        base=remote.base,
        epoch=remote.epoch,
        labels=remote.labels,
        no_cache=remote.fresh,
    )
    *command, context = buildx.argv(order, {})
    if remote.compiles:
        compilers = _SLIM.sub("", remote.base.partition("@")[0])
        command += ["--build-arg", f"BUILD_BASE={compilers}", "--build-arg", "WHEELS="]
    if not remote.fresh:
        command += ["--cache-from", f"type=registry,ref={remote.kept}"]
    return shlex.join([*command, *more, context])


def _build_stage(remote: Remote) -> str | None:
    """The last stage of the Dockerfile that has a name: what the image copies from."""
    text = (remote.agent / "Dockerfile").read_text(encoding="utf-8")
    stages = _STAGE.findall(text)
    return stages[-1] if stages else None


def project_settings(name: str, account: str, region: str, role: str) -> dict[str, Any]:
    """What CreateProject and UpdateProject are told."""
    return {
        "name": aws_names.builder_for(name),
        "description": f"Builds the image of the voice agent {name}",
        "source": {
            "type": "S3",
            "location": f"{aws_names.builder_bucket_for(name, account, region)}/source.zip",
            # Every build brings its own.
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
        "tags": [{"key": key, "value": value} for key, value in tags(name).items()],
    }


def tags(name: str) -> dict[str, str]:
    """What everything is tagged with, so that it is found again and taken for nobody else's."""
    return {"voicecore:project": name, "voicecore:version": __version__}


def trust(account: str) -> dict[str, Any]:
    """Who may take the role: CodeBuild, for this account alone (its User Guide, security-iam)."""
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
    """What the role may do: fetch its source, log, and push to the one `repository` (its ARN)."""
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
    """The bucket's policy: nothing is said to it in the clear (S3 User Guide, security)."""
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

"""Runs deploy and destroy with images that need no build; everything else is the real command.

An image is a manifest in the stand-in's ECR, tagged with a hash of its part's files.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.conftest import Result
from voicecore.aws.login import AwsLogin
from voicecore.aws.session import new_session
from voicecore.aws.task_group import TaskCancelled
from voicecore.cloud.deploy.parts.image_build import ImageSource
from voicecore.commands import deploy, destroy
from voicecore.commands.releases import promote, rollback
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output
from voicecore.console.progress import OnProgress, Progress
from voicecore.options.deploy import DeployOptions
from voicecore.options.destroy import DestroyOptions
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.project.project import Project

# Runs are forked from a process that has loaded all modules and has no threads.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "tests.cloud.preload"])


def _nothing() -> None:
    """Do nothing, as a function that can be pickled for another process."""


@dataclass(frozen=True)
class ImageDouble:
    """An image that consists of a hash of a part's files."""

    project: Project
    part: str
    existing_digest: str
    before_push: Callable[[], object]
    seconds: float
    note: str = ""

    def build(self, repository: Callable[[], str], on_progress: OnProgress) -> str:
        end = time.monotonic() + self.seconds
        try:
            while time.monotonic() < end:
                on_progress(Progress("build"))
                time.sleep(0.05)
        except TaskCancelled:
            with (self.project.root / "deploy.log").open("a") as log:
                log.write("build abandoned\n")
            raise
        name = repository().partition("/")[2]
        if there := _find(self.project, self.part, name):
            return there
        self.before_push()
        tag = _tag(self.project, self.part)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}",
                "size": 10,
            },
            "layers": [],
        }
        try:
            _ecr().put_image(
                repositoryName=name,
                imageManifest=json.dumps(manifest),
                imageManifestMediaType=manifest["mediaType"],
                imageTag=tag,
            )
        except ClientError as error:
            # Another deploy pushed the same image at the same time.
            if error.response["Error"]["Code"] != "ImageAlreadyExistsException":
                raise
        return _find(self.project, self.part, name)


@dataclass(frozen=True)
class ImagesDouble:
    """Builds images at once, or in so many seconds."""

    before_push: Callable[[], object] = _nothing
    seconds: float = 0.0

    def plan(self, project: Project, repository: str, part: str) -> ImageDouble:
        there = _find(project, part, repository.partition("/")[2]) if repository else ""
        return ImageDouble(project, part, there, self.before_push, self.seconds)


def _ecr() -> Any:
    env = os.environ
    return new_session().create_client(
        "ecr",
        region_name=env["AWS_REGION"],
        endpoint_url=env.get("AWS_ENDPOINT_URL"),
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=env.get("AWS_SESSION_TOKEN"),
    )


def _find(project: Project, part: str, repository: str) -> str:
    try:
        found = _ecr().describe_images(
            repositoryName=repository,
            imageIds=[{"imageTag": _tag(project, part)}],
        )
    except ClientError as error:
        if error.response["Error"]["Code"].endswith("NotFoundException"):
            return ""
        raise
    return found["imageDetails"][0]["imageDigest"]


def _tag(project: Project, part: str) -> str:
    folder = project.image_folder(part)
    excluded = {".env", ".venv", ".voicecore", "__pycache__"}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not excluded & {*p.parts})
    content = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:20]


AnyOptions = DeployOptions | DestroyOptions | PromoteOptions | RollbackOptions
_OPTIONS: dict[str, type[AnyOptions]] = {
    "deploy": DeployOptions,
    "destroy": DestroyOptions,
    "promote": PromoteOptions,
    "rollback": RollbackOptions,
}


def run(
    root: Path,
    options: AnyOptions,
    images: ImageSource | None = None,
    output: Output | None = None,
) -> ExitCode:
    """Run a command, and end it as the command line does."""
    context = Context(cwd=root, env={}, output=output or Output(), interactive=False)
    try:
        match options:
            case DestroyOptions():
                return destroy.run(context, options)
            case PromoteOptions():
                return promote.run(context, options)
            case RollbackOptions():
                return rollback.run(context, options)
            case DeployOptions():
                login = AwsLogin(options.profile)
                return deploy.run(context, options, login, images or ImagesDouble())
    except VoicecoreError as error:
        context.output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


@dataclass(frozen=True)
class Deployer:
    """Runs deploy and destroy for a project, in this process or in one that can be killed."""

    root: Path
    images: ImageSource = ImagesDouble()

    def deploy(self, **options: Any) -> Result:
        return self._run(replace(DeployOptions(yes=True), **options))

    def destroy(self, **options: Any) -> Result:
        return self._run(replace(DestroyOptions(yes=True), **options))

    def with_images(self, images: ImageSource) -> Deployer:
        return replace(self, images=images)

    def start(
        self,
        environment: dict[str, str],
        command: str = "deploy",
        images: ImagesDouble | None = None,
        **options: Any,
    ) -> BaseProcess:
        """Start a command in a process of its own, with its output in <root>/deploy.log."""
        given = replace(_OPTIONS[command](yes=True), **options)
        arguments = (self.root, given, images or ImagesDouble(), environment)
        process = _FORKS.Process(target=_forked, args=arguments)
        process.start()
        return process

    @property
    def log(self) -> str:
        return (self.root / "deploy.log").read_text()

    def _run(self, options: AnyOptions) -> Result:
        stdout, stderr = io.StringIO(), io.StringIO()
        code = run(self.root, options, self.images, Output(stdout, stderr))
        return Result(int(code), stdout.getvalue(), stderr.getvalue())


def _forked(
    root: Path,
    options: AnyOptions,
    images: ImageSource,
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    with (root / "deploy.log").open("a", buffering=1) as log:
        code = run(root, options, images, Output(log, log))
    sys.exit(int(code))


def _run_interactively(command: str, root: Path, transport: str | None = None) -> ExitCode:
    """Run a command on this process's terminal, where it may ask for confirmation."""
    context = Context(cwd=root, env={})
    try:
        if command == "destroy":
            return destroy.run(context, DestroyOptions())
        options = DeployOptions(transport=transport)
        return deploy.run(context, options, AwsLogin(can_ask=True), ImagesDouble())
    except VoicecoreError as error:
        context.output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(int(_run_interactively(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])))


def use_offline(root: Path, region: str) -> Path:
    """Move a project of nova-sonic to a region that lacks its models; return voicecore.toml."""
    settings = root / "voicecore.toml"
    text = settings.read_text().replace("us-east-1", region)
    text = text.replace('pipeline = "nova-sonic"', 'pipeline = "offline"')
    settings.write_text(text.replace('speech_to_speech = "nova-2-5-sonic"\n', ""))
    return settings

"""Owns the images of agent and server for a deploy: planned first, built and pushed later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from voicecore.aws.login import AwsLogin
from voicecore.console.context import Context
from voicecore.console.progress import OnProgress
from voicecore.image.builder import BuildRequest, build_image, require_buildable
from voicecore.image.builder_choice import BuilderChoice, choose_builder, local_docker
from voicecore.image.inputs.lockfile import NoWheel
from voicecore.image.plan import BuildPlan, CannotBuild, pin_base, plan_build, with_repository
from voicecore.project.project import Project

IN_AWS = "AWS CodeBuild builds the image, in minutes and for some cents."


@dataclass(frozen=True)
class PartImage:
    """The image of a part's current files."""

    context: Context
    plan: BuildPlan
    note: str = ""
    """Note to show before the build; empty unless AWS builds the image."""
    builder: str | None = None
    """Builder that the user asked for; None for the default."""

    @property
    def existing_digest(self) -> str:
        """Digest in the repository; empty if the image is not there."""
        return self.plan.pushed_digest

    def build(self, repository: Callable[[], str], on_progress: OnProgress) -> str:
        """Build the image, push it once the repository exists, and return its digest."""
        pin_base(self.plan)
        if self.note:
            return self._build_in_aws(repository(), on_progress)
        env = self.context.env
        with local_docker(self.builder, False, env) as docker:
            choice = choose_builder(self.builder, docker)
            request = BuildRequest(choice, docker.engine, repository=repository)
            return build_image(self.plan, request, env, on_progress).digest

    def _build_in_aws(self, repository: str, on_progress: OnProgress) -> str:
        plan = with_repository(self.plan, repository)
        if plan.pushed_digest:
            return plan.pushed_digest
        request = BuildRequest(BuilderChoice("codebuild"), engine=None)
        return build_image(plan, request, self.context.env, on_progress).digest


@dataclass(frozen=True)
class PartImages:
    """Plans images, and looks for them in ECR."""

    context: Context
    login: AwsLogin
    builder: str | None = None
    """Builder that the user asked for; None for the default."""

    def plan(self, project: Project, repository: str, part: str) -> PartImage:
        """Plan the image of a part. Raises the errors of `plan_build` and `require_buildable`."""

        def planned(compiles: bool) -> BuildPlan:
            env = self.context.env
            return plan_build(project, repository or None, compiles, env, self.login, part)

        if self.builder == "codebuild":
            note = f"--builder codebuild: {IN_AWS}"
            return PartImage(self.context, planned(compiles=True), note, self.builder)
        try:
            image = PartImage(self.context, planned(compiles=False), builder=self.builder)
        except NoWheel as error:
            if self.builder:
                raise
            first = error.message.splitlines()[0].rstrip(":")
            return PartImage(self.context, planned(compiles=True), f"{first}: {IN_AWS}")
        if not image.plan.pushed_digest:
            with local_docker(self.builder, False, self.context.env) as docker:
                choice = choose_builder(self.builder, docker)
            try:
                require_buildable(image.plan, choice, self.context.env)
            except CannotBuild:
                # Its own Dockerfile has a line that only Docker can run, which is not here.
                if not (image.plan.own and choice.problem):
                    raise
                return replace(image, note=f"{choice.problem.message} {IN_AWS}")
        return image

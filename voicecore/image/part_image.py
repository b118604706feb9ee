"""The images of agent and server as a deploy needs them: looked for, built and pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voicecore.console.context import Context
from voicecore.console.progress import OnProgress
from voicecore.image import builder
from voicecore.image.builder import Plan, Wish
from voicecore.image.inputs.lockfile import NoWheel
from voicecore.project.project import Project
from voicecore.scaffold.render import dockerfile_of


@dataclass(frozen=True)
class PartImage:
    """The image that the files of a part make now."""

    context: Context
    plan: Plan
    note: str = ""
    """What to know before it is built; it is said if there are packages to compile."""

    @property
    def there(self) -> str:
        """The digest by which the repository has it already; empty if it has not."""
        return self.plan.there

    def build(self, repository: Callable[[], str], on_progress: OnProgress) -> str:
        """Build the image, and push it as soon as the repository is there; returns its digest."""
        env = self.context.env
        builder.pin(self.plan)
        if self.note:
            return self._build_in_aws(repository(), on_progress)
        known = dockerfile_of(self.plan.part)
        wish = Wish(repository=repository)
        with builder.docker_for(None, False, env) as docker:
            if docker.running and builder.choose(None, docker).builder == "buildx":
                return builder.make_by_buildx(
                    self.plan, wish, docker.running, env, on_progress
                ).digest
            return builder.make_directly(
                self.plan, wish, known, docker.running, env, on_progress
            ).digest

    def _build_in_aws(self, repository: str, on_progress: OnProgress) -> str:
        plan = builder.aimed(self.plan, repository)
        if plan.there or plan.target is None:
            return plan.there
        return builder.make_in_aws(plan, plan.target, Wish(), None, on_progress).digest


@dataclass(frozen=True)
class PartImages:
    """Images that the project's files make, pushed as the AWS profile's identity."""

    context: Context
    profile: str | None = None

    def look(self, project: Project, repository: str, part: str) -> PartImage:
        """What the files of a part make. Raises what is wrong with them."""

        def plan(compiles: bool) -> Plan:
            env = self.context.env
            return builder.plan(project, repository or None, compiles, env, self.profile, part)

        try:
            return PartImage(self.context, plan(compiles=False))
        except NoWheel as error:
            first = error.message.splitlines()[0].rstrip(":")
            note = f"{first}: the image is built by AWS CodeBuild, in minutes and for some cents."
            return PartImage(self.context, plan(compiles=True), note)

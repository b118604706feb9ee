"""The agent's image as a deploy needs it: looked for, built and pushed by voicecore.image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voicecore.context import Context
from voicecore.image import builder, dockerfile
from voicecore.image.builder import Plan, Wish
from voicecore.image.model import Progress
from voicecore.image.wheels import NoWheel
from voicecore.output import Advance
from voicecore.project import Project
from voicecore.scaffold.render import templates


@dataclass(frozen=True)
class AgentImage:
    """The image that the agent's files make now."""

    context: Context
    plan: Plan
    note: str = ""
    """What to know before it is built; it is said if there are packages to compile."""

    @property
    def there(self) -> str:
        """The digest by which the repository has it already; empty if it has not."""
        return self.plan.there

    def build(self, repository: Callable[[], str], advance: Advance) -> str:
        """Build the image, and push it as soon as the repository is there; returns its digest."""
        env = self.context.env

        def tell(step: Progress) -> None:
            advance(step.task, step.done, step.total, step.finished, step.note)

        builder.pin(self.plan)
        if self.note:
            return self._build_in_aws(repository(), tell)
        known = (templates() / "_shared" / "agent" / dockerfile.FILE).read_text(encoding="utf-8")
        wish = Wish(repository=repository)
        with builder.docker_for(None, False, env) as docker:
            if docker.running and builder.choose(None, docker).builder == "buildx":
                return builder.make_by_buildx(self.plan, wish, docker.running, env, tell).digest
            return builder.make_directly(self.plan, wish, known, docker.running, env, tell).digest

    def _build_in_aws(self, repository: str, tell: Callable[[Progress], None]) -> str:
        plan = builder.aimed(self.plan, repository)
        if plan.there or plan.target is None:
            return plan.there
        return builder.make_in_aws(plan, plan.target, Wish(), None, tell).digest


@dataclass(frozen=True)
class AgentImages:
    """Images that the project's files make, pushed as the AWS profile's identity."""

    context: Context
    profile: str | None = None

    def look(self, project: Project, repository: str) -> AgentImage:
        """What the files make. Raises what is wrong with them."""

        def plan(compiles: bool) -> Plan:
            env = self.context.env
            return builder.plan(project, repository or None, compiles, env, self.profile)

        try:
            return AgentImage(self.context, plan(compiles=False))
        except NoWheel as error:
            first = error.message.splitlines()[0].rstrip(":")
            note = f"{first}: the image is built by AWS CodeBuild, in minutes and for some cents."
            return AgentImage(self.context, plan(compiles=True), note)

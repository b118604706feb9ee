"""The agent's image as a deploy needs it: looked for, built and pushed by voicecore.image."""

from __future__ import annotations

from collections.abc import Callable

from voicecore.context import Context
from voicecore.image import builder, dockerfile
from voicecore.image.builder import Wish
from voicecore.image.model import Progress
from voicecore.output import Advance
from voicecore.project import Project
from voicecore.scaffold.render import templates


class AgentImages:
    """Images that the project's files make."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def find(self, project: Project, repository: str) -> str:
        """The digest by which `repository` has the image already; empty if it has not."""
        # An image that only AWS can build may have been: then nothing of it is built here.
        return builder.plan(project, repository, True, self._context.env).there

    def build(self, project: Project, repository: Callable[[], str], advance: Advance) -> str:
        """Build the image and push it; returns its digest."""
        env = self._context.env

        def tell(step: Progress) -> None:
            advance(step.task, step.done, step.total, step.finished, step.note)

        plan = builder.plan(project, repository(), False, env)
        builder.pin(plan)
        if plan.there:
            return plan.there
        known = (templates() / "_shared" / "agent" / dockerfile.FILE).read_text(encoding="utf-8")
        with builder.engine(env) as docker:
            if builder.choose(None, docker).builder == "buildx":
                return builder.make_by_buildx(plan, Wish(), docker.running, env, tell).digest
            return builder.make_directly(plan, Wish(), known, docker.running, env, tell).digest

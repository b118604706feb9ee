"""The agent's image as a deploy needs it: looked for, built and pushed by voicecore.image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

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
        return builder.plan(project, repository, self._context.env).there

    def build(self, project: Project, repository: Callable[[], str], advance: Advance) -> str:
        """Build the image and push it; returns its digest."""
        env = self._context.env

        def tell(step: Progress) -> None:
            advance(step.task, step.done, step.total, step.finished, step.note)

        plan = builder.plan(project, repository(), env)
        if plan.there:
            return plan.there
        with ExitStack() as stack:
            engine, docker = builder.engine_or_error(env)
            if engine:
                stack.enter_context(engine)
            if builder.choose(None, docker).builder == "buildx" and engine:
                return builder.make_by_buildx(plan, Wish(), engine, env, tell).digest
            known = (templates() / "_shared" / "agent" / dockerfile.FILE).read_text("utf-8")
            return builder.make_directly(plan, Wish(), known, engine, env, tell).digest

"""The session server's part in a deploy: its image and its stack, beside and after the agent's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol

from voicecore.aws.session import Aws
from voicecore.aws.task_group import Together
from voicecore.catalog.phone_providers import Phone
from voicecore.cloud.deploy import server_part
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live, Tell
from voicecore.cloud.deploy.ecs_service import Fleet
from voicecore.cloud.deploy.plan import Part
from voicecore.cloud.deploy.server_part import Standing, Wanted
from voicecore.cloud.stacks.lambda_server import URL
from voicecore.console.progress import OnProgress, Progress
from voicecore.project import aws_names
from voicecore.project.project import Project


class Image(Protocol):
    """The image that the files of a part of the project make."""

    @property
    def there(self) -> str:
        """The digest by which the repository has it already; empty if it has not."""
        ...

    @property
    def note(self) -> str:
        """What to know before it is built; empty for nothing."""
        ...

    def build(self, repository: Callable[[], str], on_progress: OnProgress) -> str:
        """Build the image and push it; returns its digest.

        The repository is asked for when there is something to push, and may take its time.
        """
        ...


class Images(Protocol):
    """What makes the images of agent and server."""

    def look(self, project: Project, repository: str, part: str) -> Image:
        """What the files of a part make; `repository` is empty where there is none yet.

        Raises what is wrong with the files.
        """
        ...


@dataclass(frozen=True)
class Serving:
    """The server of a stage that is to have one: what should stand, and what stands."""

    aws: Aws
    cloud: CloudFormation
    together: Together
    wanted: Wanted
    standing: Standing
    looked: Future[Image]
    agent: Live | None
    """The agent's stack as it stands."""
    repository: str
    """Where images are pushed to; empty where there is nothing yet."""

    @property
    def note(self) -> str:
        """What to know before its image is built."""
        return self.together.result(self.looked).note

    @property
    def waits(self) -> str:
        """What its change waits for, although nothing goes wrong; empty for nothing."""
        draining = self.standing.draining
        if draining is None or self.up:
            return ""
        return (
            "This changes the session server, whose last update keeps the old one for its calls "
            f"(about {draining.open_calls}), for "
            f"{self.wanted.deployment.stage.server.drain_minutes} minutes at most."
        )

    def drained(self, tell: Tell) -> Serving:
        """The same once its old tasks are gone."""
        deployment = self.wanted.deployment
        standing = server_part.read(self.aws, self.cloud, deployment, tell, drained=True)
        return replace(self, standing=standing)

    @property
    def up(self) -> bool:
        """Whether it is all that it should be already."""
        image, arn = self._image, self._arn
        return server_part.is_up(self.cloud, self.wanted, self.standing, image, arn)

    def plan(self) -> Part:
        """What bringing it up would do."""
        return server_part.plan(self.cloud, self.wanted, self.standing, self._image, self._arn)

    def build(
        self, agents: Future[str], repository: Future[str], advance: OnProgress
    ) -> Future[str]:
        """Begin to build its image, after the agent's: two at once would hold each other up."""

        def told(step: Progress) -> None:
            advance(replace(step, task=f"server: {step.task}"))

        def build() -> str:
            self.together.result(agents)
            made = self.together.result(self.looked)
            return made.there or made.build(lambda: self.together.result(repository), told)

        return self.together.start(build)

    def bring_up(
        self, digest: str, repository: str, agent: Live, tell: Tell, advance: OnProgress
    ) -> Live:
        """Its stack, for an agent that stands, in the network that was made for both."""
        if self.standing.draining and self.standing.live:
            return self.standing.live
        name = aws_names.network_stack_name_for(self.wanted.deployment.name)
        network = self.cloud.find(name) if self.wanted.carries_calls else None
        return server_part.bring_up(
            self.aws,
            self.cloud,
            replace(self.wanted, network=network.outputs) if network else self.wanted,
            self.standing,
            f"{repository}@{digest}",
            agent.outputs["RuntimeArn"],
            tell,
            advance,
        )

    @property
    def _image(self) -> str:
        there = self.together.result(self.looked).there
        return f"{self.repository}@{there}" if there else ""

    @property
    def _arn(self) -> str:
        return self.agent.outputs.get("RuntimeArn", "") if self.agent else ""


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    live: Live
    page: str = ""
    """Its page's address with an invite; empty where it would end up in a log."""
    draining: Fleet | None = None
    """Its tasks, where old ones still have calls."""
    record: str = ""
    """Where its domain does not lead yet, and must."""
    phones: tuple[Phone, ...] = ()
    """The telephone providers whose calls it carries."""

    @property
    def url(self) -> str:
        """Where clients ask for sessions."""
        return self.live.outputs[URL]

    def document(self, profile: str | None, region: str) -> dict[str, Any]:
        """It for programs."""
        known = {"url": self.url, "key": self.key(profile, region)}
        if not self.phones:
            return known
        return known | {
            "calls": {phone.name: phone.webhook(self.url) for phone in self.phones},
            "record": self.record or None,
            "draining": self.draining.draining if self.draining else 0,
        }

    def key(self, profile: str | None, region: str) -> str:
        """The command that shows the key for clients."""
        account = f" --profile {profile}" if profile else ""
        return (
            f"aws secretsmanager get-secret-value --region {region}{account} --secret-id "
            f"{self.live.outputs['SessionKeyArn']} --query SecretString --output text"
        )

"""The session server's part in a deploy: its image and its stack, beside and after the agent's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from voicecore.cloud import hosting
from voicecore.cloud.cloudformation import CloudFormation, Live, Tell
from voicecore.cloud.hosting import Standing, Wanted
from voicecore.cloud.plan import Part
from voicecore.cloud.server_stack import URL
from voicecore.cloud.session import Aws
from voicecore.cloud.together import Together
from voicecore.output import Advance
from voicecore.project import Project


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

    def build(self, repository: Callable[[], str], advance: Advance) -> str:
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
    def up(self) -> bool:
        """Whether it is all that it should be already."""
        image, arn = self._image, self._arn
        return hosting.is_up(self.cloud, self.wanted, self.standing, image, arn)

    def plan(self) -> Part:
        """What bringing it up would do."""
        return hosting.plan(self.cloud, self.wanted, self.standing, self._image, self._arn)

    def build(self, agents: Future[str], repository: Future[str], advance: Advance) -> Future[str]:
        """Begin to build its image, after the agent's: two at once would hold each other up."""

        def told(task: str, done: int, total: int | None, over: bool, note: str) -> None:
            advance(f"server: {task}", done, total, over, note)

        def build() -> str:
            self.together.result(agents)
            made = self.together.result(self.looked)
            return made.there or made.build(lambda: self.together.result(repository), told)

        return self.together.start(build)

    def bring_up(self, digest: str, repository: str, agent: Live, tell: Tell) -> Live:
        """Its stack, for an agent that stands."""
        return hosting.bring_up(
            self.aws,
            self.cloud,
            self.wanted,
            self.standing,
            f"{repository}@{digest}",
            agent.outputs["RuntimeArn"],
            tell,
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

    @property
    def url(self) -> str:
        """Where clients ask for sessions."""
        return self.live.outputs[URL]

    def key(self, profile: str | None, region: str) -> str:
        """The command that shows the key for clients."""
        account = f" --profile {profile}" if profile else ""
        return (
            f"aws secretsmanager get-secret-value --region {region}{account} --secret-id "
            f"{self.live.outputs['SessionKeyArn']} --query SecretString --output text"
        )

"""Owns the images of parts: looked up in the repository, built and pushed in the background."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol, cast

from voicecore.aws.task_group import TaskCancelled, TaskGroup
from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.project.project import AGENT, Project


class BuildableImage(Protocol):
    """The image that the current files of a part produce."""

    @property
    def existing_digest(self) -> str:
        """Digest in the repository; empty if the image is not there."""
        ...

    @property
    def note(self) -> str:
        """Warning to show before it is built; empty for none."""
        ...

    def build(self, repository: Callable[[], str], on_progress: OnProgress) -> str:
        """Build and push the image, and return its digest.

        `repository` returns where to push; it is called when there is something to push, and may
        block.
        """
        ...


class ImageSource(Protocol):
    """Makes the images of parts from the project's files."""

    def plan(self, project: Project, repository: str, part: str) -> BuildableImage:
        """Return the image of a part; `repository` is empty if there is none yet.

        Raises what is wrong with the files.
        """
        ...


class ImageRepository:
    """The URI of the project's image repository, for looking up, pushing and deploying images.

    The URI is known after reading the current state, or after the images stack is created. Pushes
    wait until it is opened, which is after preflight checks and confirmation.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self.existing = ""
        """URI of the repository before the deploy; empty if there was none."""
        self._tasks = tasks
        self._opened: Future[str] = Future()

    def open(self, uri: str) -> None:
        """Allow pushes to the repository; does nothing without a URI or when it is open."""
        if uri and not self._opened.done():
            self._opened.set_result(uri)

    def uri(self) -> str:
        """Return the URI, once the repository is open."""
        return self._tasks.result(self._opened)


class ImageBuild:
    """The image of one part during a deploy."""

    def __init__(
        self,
        tasks: TaskGroup,
        source: ImageSource,
        project: Project,
        part: str,
        repository: ImageRepository,
        on_progress: OnProgress,
    ) -> None:
        self._tasks = tasks
        self._source = source
        self._project = project
        self._part = part
        self._repository = repository
        self._on_progress = on_progress
        self._found: Future[BuildableImage | VoicecoreError] | None = None
        self._built: Future[str] | None = None

    @property
    def refusal(self) -> VoicecoreError | None:
        """What is wrong with the part's files, so that no image can be built; None if nothing is.

        The other properties raise it.
        """
        found = self._tasks.result(self.look_up())
        return found if isinstance(found, VoicecoreError) else None

    @property
    def uri(self) -> str:
        """The image's URI, by digest; empty if the repository does not have it."""
        digest = self._image().existing_digest
        return f"{self._repository.existing}@{digest}" if digest else ""

    @property
    def note(self) -> str:
        """Warning to show before the image is built; empty for none."""
        return self._image().note

    def look_up(self) -> Future[BuildableImage | VoicecoreError]:
        """Start to look for the image in the repository, unless started.

        A refusal is a result: as the failure of a task, it would end the checks in progress.
        """
        if self._found is None:
            self._found = self._tasks.start(self._plan)
        return self._found

    def start(self, after: ImageBuild | None = None) -> Future[str]:
        """Start to build and push the image, unless started; gives its digest.

        Builds run one `after` another: two at a time would slow each other down.
        """
        if self._built is None:
            self._built = self._tasks.start(lambda: self._build(after))
        return self._built

    def built_uri(self) -> str:
        """Return the image's URI by digest, once it is pushed."""
        return f"{self._repository.uri()}@{self.digest()}"

    def digest(self) -> str:
        """Return the image's digest, once it is pushed."""
        return self._tasks.result(self.start())

    def _plan(self) -> BuildableImage | VoicecoreError:
        try:
            return self._source.plan(self._project, self._repository.existing, self._part)
        except VoicecoreError as refusal:
            return refusal

    def _build(self, after: ImageBuild | None) -> str:
        if self.refusal:
            raise TaskCancelled  # the checks report it
        if after:
            after.digest()
        image = self._image()
        return image.existing_digest or image.build(self._repository.uri, self._report)

    def _image(self) -> BuildableImage:
        if refusal := self.refusal:
            raise refusal
        return cast("BuildableImage", self._tasks.result(self.look_up()))

    def _report(self, step: Progress) -> None:
        prefix = "" if self._part == AGENT else f"{self._part}: "
        self._on_progress(replace(step, task=f"{prefix}{step.task}"))

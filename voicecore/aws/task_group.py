"""Owns task groups: tasks in threads, which the first failure or Ctrl-C cancels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")


class TaskCancelled(Exception):
    """The group has ended, so the task's result is not needed."""


class TaskGroup:
    """Tasks that run in threads while a block runs.

    A failure of any task is raised at once where the block waits. When the block ends, a task that
    still runs is cancelled at its next `sleep`, `raise_if_cancelled` or `result`; a task that has
    not ended `grace` seconds later is left behind.
    """

    def __init__(self, grace: float = 2.0) -> None:
        self._grace = grace
        self._futures: list[Future[Any]] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._over = threading.Event()

    def __enter__(self) -> TaskGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(self._grace)

    def start(self, work: Callable[[], Result]) -> Future[Result]:
        """Start a task."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # raised again in `result`
                future.set_exception(error)
            with self._changed:
                self._changed.notify_all()

        # A daemon, because Ctrl-C must not wait for an answer from AWS.
        thread = threading.Thread(target=run, daemon=True)
        self._futures.append(future)
        self._threads.append(thread)
        thread.start()
        return future

    def result(self, future: Future[Result]) -> Result:
        """Wait for a task and return its result.

        Raises the first failure of any task, and TaskCancelled as `sleep` does.
        """
        with self._changed:
            while not future.done():
                self.raise_if_cancelled()
                self._raise_failure()
                # The timeout lets Windows see Ctrl-C.
                self._changed.wait(0.5)
        self._raise_failure()
        return future.result()

    def sleep(self, seconds: float) -> None:
        """Sleep within a task. Raises TaskCancelled when the group ends."""
        if self._over.wait(seconds):
            raise TaskCancelled

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled if the group has ended."""
        self.sleep(0)

    def _raise_failure(self) -> None:
        errors = [f.exception() for f in self._futures if f.done()]
        for error in errors:
            if error and not isinstance(error, TaskCancelled):
                raise error

"""Owns tasks that run in parallel, each after those that it depends on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.standins.aws.clock import Stopped
from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation.stacks import Stack


def run_in_order(
    cloud: Cloud,
    stack: Stack,
    tasks: dict[str, tuple[set[str], Callable[[], bool]]],
    keep_going: bool = False,
) -> list[str]:
    """Run tasks in parallel, each after those it depends on; return the keys that failed.

    After a failure no more tasks are started, and running ones are cancelled. With
    `keep_going`, only those that depend on the failed one are skipped.
    """
    waiting, done, failed = dict(tasks), set[str](), list[str]()
    changed = threading.Condition()
    running: set[str] = set()

    def work(key: str, task: Callable[[], bool]) -> None:
        good = False
        try:
            good = task()
        except Stopped:
            pass
        except Exception as e:  # a bug of the stand-in
            cloud.bugs.append(e)
        with changed:
            running.discard(key)
            if good:
                done.add(key)
            else:
                failed.append(key)
                if not keep_going and not stack.cancelled:
                    stack.cancelled = True
                    cancelled_here.append(key)
            changed.notify_all()

    cancelled_here: list[str] = []
    with changed:
        while True:
            if keep_going or not (failed or stack.cancelled):
                for key in [k for k, (needs, _) in waiting.items() if needs <= done]:
                    _, task = waiting.pop(key)
                    running.add(key)
                    cloud.start(lambda k=key, t=task: work(k, t), f"{stack.name} {key}")
            if not running:
                break
            changed.wait()
    if cancelled_here:
        stack.cancelled = False  # it was a failure, not a cancellation by the user
    return failed

"""Owns the threads of a process that is to fork: a fork has only the one that forks."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast


def fork() -> int:
    """Fork without Python's own handlers, which would hide captures: `random` seeds itself again.

    They renew locks that other threads hold; there must be no other threads.
    """
    return ctypes.PyDLL(None).fork()


def other_threads() -> str | None:
    """Return which other threads this process has, for people; None if it has none."""
    _end_idle_executors()
    _end_idle_anyio_workers()
    ours = threading.get_ident()
    named = sorted(thread.name for thread in threading.enumerate() if thread.ident != ours)
    if not named and _count() > 1:
        # Some libraries, such as OpenBLAS, end their threads before a fork and restart them later.
        if (pid := fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    for _ in range(20):  # the system lists a thread for a moment after its end
        if named or _count() == 1:
            break
        time.sleep(0.01)
    count = _count() - 1
    if count < 1:
        return None
    unnamed = [f"{count - len(named)} of libraries"] if count > len(named) else []
    return f"{count} other thread{'s' * (count > 1)} ({', '.join([*named[:4], *unnamed])})"


def _count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _end_idle_executors() -> None:
    """End the waiting threads of thread pools; a pool starts new ones when it needs them."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()  # the collector does not list what is exempt from collection
    pools = [found for found in gc.get_objects() if isinstance(found, ThreadPoolExecutor)]
    if frozen:
        gc.freeze()
    for pool in pools:
        inside = cast("Any", pool)
        threads: set[threading.Thread] = inside._threads
        idle: threading.Semaphore = inside._idle_semaphore
        waiting = cast("int", getattr(idle, "_value", 0))
        if inside._shutdown or waiting < len(threads) or not inside._work_queue.empty():
            continue
        inside._shutdown = True
        inside._work_queue.put(None)  # the first passes it on
        for thread in tuple(threads):
            thread.join()
        inside._work_queue.get_nowait()
        inside._shutdown = False
        threads.clear()
        inside._idle_semaphore = threading.Semaphore(0)


def _end_idle_anyio_workers() -> None:
    """End AnyIO's waiting threads: AgentCore's SDK answers /ping in one."""
    for thread in threading.enumerate():
        if type(thread).__module__ == "anyio._backends._asyncio":
            worker = cast("Any", thread)
            if worker in worker.idle_workers:
                worker.stop()
                thread.join()

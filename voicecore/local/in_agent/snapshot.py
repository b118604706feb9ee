"""Owns the snapshot of an agent: it is frozen when the runtime asks, and continues as a session.

The runtime asks by SIGURG, which nothing else uses, after the first healthy /ping. Python's handler
runs in the main thread, at whatever point that is: a session continues there. A process without
other threads forks for each session (Linux). Any other is frozen until it continues as the one
session that it can be; what a snapshot would have given to all sessions is replayed then.

The control socket has one JSON object per line. Runtime: {"port": 8081} with stdout for the fork,
or {} once the agent has taken too long to freeze: it runs on.
Agent: {"obstacle": null}, {"forked": pid}, {"failed": "why"}, {"exited": pid, "code": 0}.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from types import FrameType
from typing import Any

from . import (
    CONTROL,
    RUN_ON,
    captures,
    clocks,
    descriptors,
    threads,
    watch_credentials,
    watch_random,
)
from .descriptors import CannotFork, Descriptors
from .imports import after_import


def install() -> None:
    """Make this interpreter ready to be frozen; without a control socket, do nothing."""
    if CONTROL not in os.environ:
        return
    captures.install()
    clocks.install()
    watch_random.install()
    after_import(
        {
            "numpy.random": watch_random.watch_numpy,
            "botocore.credentials": watch_credentials.watch_botocore,
        }
    )
    signal.signal(signal.SIGURG, _freeze)


def _freeze(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGURG, signal.SIG_DFL)
    control = socket.socket(fileno=int(os.environ.pop(CONTROL)))
    control.set_inheritable(False)
    if select.select([control], [], [], 0)[0]:  # the runtime waits no longer
        control.close()
        return
    try:
        found = _forkable(control)
    except CannotFork as obstacle:
        _say(control, obstacle=str(obstacle))
        # The runtime stops the process now; this returns when it has continued it.
        control.recv(4096)
        control.close()
        watch_random.replay()
    else:
        _serve_forks(control, found)
    clocks.jump()
    captures.begin_session()


def _forkable(control: socket.socket) -> Descriptors:
    """Return what a fork has to replace. Raises CannotFork."""
    if sys.platform != "linux":
        raise CannotFork("forks need Linux")
    if others := threads.other_threads():
        raise CannotFork(f"it has {others}")
    with contextlib.suppress(ChildProcessError):  # it has no children
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        raise CannotFork("it has started other processes")
    return descriptors.read(keep=[control.fileno()])


def _serve_forks(control: socket.socket, found: Descriptors) -> None:
    """Fork a session whenever the runtime asks. Returns in the forks only."""
    port = int(os.environ["PORT"])
    descriptors.cut_connections(found)
    loop = _running_loop()
    on_end = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _say(control, obstacle=None)
    sessions: dict[int, int] = {}  # pidfd to pid
    while True:
        ready, _, _ = select.select([control.fileno(), *sessions], [], [])
        for ended in sessions.keys() & set(ready):
            os.close(ended)
            pid, status = os.waitpid(sessions.pop(ended), 0)
            _say(control, exited=pid, code=os.waitstatus_to_exitcode(status))
        if control.fileno() not in ready:
            continue
        request, fds, _, _ = socket.recv_fds(control, 4096, 1)
        if request in (b"", RUN_ON):
            os._exit(0)  # the runtime has ended, or waits no longer; its reaper ends the sessions
        new_port = json.loads(request)["port"]
        try:
            bound = descriptors.bind(found, port, new_port)
            pid = threads.fork()
            if pid < 0:
                raise OSError("fork failed: is there too little memory, or too many processes?")
        except OSError as error:
            os.close(fds[0])
            _say(control, failed=str(error))
            continue
        if pid == 0:
            for fd in (control.detach(), *sessions):
                os.close(fd)
            signal.signal(signal.SIGTERM, signal.SIG_DFL if on_end is None else on_end)
            _become_session(new_port, fds[0])
            descriptors.renew(found, bound)
            _set_running_loop(loop)
            return
        with contextlib.suppress(OSError):  # the fork does it too; one of them is first
            os.setpgid(pid, pid)
        os.close(fds[0])
        for listening in bound:
            listening.close()
        sessions[os.pidfd_open(pid)] = pid
        _say(control, forked=pid)


def _become_session(port: int, stdout: int) -> None:
    """Leave the process group of the snapshot, with a port and an output of its own."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    os.dup2(stdout, 1)
    os.dup2(stdout, 2)
    os.close(stdout)
    os.environ["PORT"] = str(port)


def _running_loop() -> Any:
    asyncio = sys.modules.get("asyncio")
    return asyncio._get_running_loop() if asyncio else None


def _set_running_loop(loop: Any) -> None:
    """Tell asyncio again which loop runs: Python 3.11 forgets it when the process ID changes."""
    if loop is not None:
        sys.modules["asyncio"]._set_running_loop(loop)


def _say(control: socket.socket, **message: Any) -> None:
    with contextlib.suppress(OSError):  # the runtime has ended
        control.sendall((json.dumps(message) + "\n").encode())

"""Owns the end of the agent processes when the runtime dies without stopping them (Linux, macOS).

It runs as a separate process (see `child.Reaper`). Its stdin is a pipe from the runtime: "+PID" and
"-PID" lines name the process groups to end once the pipe closes, and the kernel closes it however
the runtime dies. (Linux's PR_SET_PDEATHSIG spares grandchildren and does not exist on macOS.) A
command may follow "+PID" as a JSON list: it runs after the group has ended, and removes what is not
part of the group, such as a container. "!" and a command: it runs at the end in any case.
"""

import json
import os
import signal
import subprocess
import sys
import time

GRACE = 2.0  # seconds between SIGTERM and SIGKILL


def main() -> None:
    """Read the list of groups until stdin closes, then end the groups that are left on it."""
    watched: dict[int, list[str]] = {}
    afterwards: list[list[str]] = []
    for line in sys.stdin:
        if line[0] == "!":
            afterwards.append(json.loads(line[1:]))
            continue
        group, _, cleanup = line[1:].partition(" ")
        if line[0] == "+":
            watched[int(group)] = json.loads(cleanup)
        else:
            watched.pop(int(group), None)
    _end(set(watched))
    quiet = subprocess.DEVNULL
    commands = [cleanup for cleanup in watched.values() if cleanup] + afterwards
    for running in [subprocess.Popen(c, stdin=quiet, stdout=quiet, stderr=quiet) for c in commands]:
        running.wait()


def _end(groups: set[int]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        groups = {group for group in groups if _signal(group, sent)}
        deadline = time.monotonic() + GRACE
        while any(_signal(group, 0) for group in groups) and time.monotonic() < deadline:
            time.sleep(0.05)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; return False if the group has ended."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS reports EPERM for a group of zombies
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()

"""Ends the agent processes when the runtime dies without doing it itself, on Linux and macOS.

Runs as a process of its own (see `process.Guard`). Its stdin is a pipe from the runtime: "+PID"
and "-PID" lines name the process groups to end once the pipe closes, which the kernel does however
the runtime died. (Linux's PR_SET_PDEATHSIG spares grandchildren and does not exist on macOS.)
After a "+PID" may stand a command, as a JSON list: it is run once the group has ended, for what is
no child of it (a container).
"""

import json
import os
import signal
import subprocess
import sys
import time

GRACE = 2.0  # seconds between SIGTERM and SIGKILL


def main() -> None:
    """Follow the list of groups until stdin closes, then end what is left on it."""
    watched: dict[int, list[str]] = {}
    for line in sys.stdin:
        group, _, after = line[1:].partition(" ")
        if line[0] == "+":
            watched[int(group)] = json.loads(after)
        else:
            watched.pop(int(group), None)
    _end(set(watched))
    quiet = subprocess.DEVNULL
    commands = [after for after in watched.values() if after]
    for running in [subprocess.Popen(c, stdin=quiet, stdout=quiet, stderr=quiet) for c in commands]:
        running.wait()


def _end(groups: set[int]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        groups = {group for group in groups if _signal(group, sent)}
        deadline = time.monotonic() + GRACE
        while any(_signal(group, 0) for group in groups) and time.monotonic() < deadline:
            time.sleep(0.05)


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; False when the group is gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()

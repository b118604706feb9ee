"""The engine, registry and emulator that `make lab` installs: where they are, how to run them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOME = Path("/usr/local/lib/voicecore-lab/bin")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicecore-tests"


def tool(name: str) -> str:
    """Return the path of an installed tool. Raises FileNotFoundError if it is missing."""
    path = HOME / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; install it:  make lab")
    return str(path)


@contextmanager
def running_server(
    argv: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    seconds: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server during the block, with its output in `log`; enters when it is ready.

    Raises RuntimeError with the end of the log if it exits early or takes longer than `seconds`.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            # The kernel also stops it when the tests are killed.
            ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if env is None else dict(env),
            start_new_session=True,  # only the tests get Ctrl-C; they stop servers in order
        )
    try:
        until = time.monotonic() + seconds
        while not ready():
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield server
    finally:
        server.send_signal(stop)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def accepts_connections(host: str, port: int) -> bool:
    """Return whether a server listens on a port."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True

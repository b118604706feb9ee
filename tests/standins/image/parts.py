"""Where `make lab` has put the engine, the registry and the emulator, and how one is run."""

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


def part(name: str) -> str:
    """Returns the path of one of the parts. Raises FileNotFoundError when it is not installed."""
    path = HOME / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; install it:  make lab")
    return str(path)


@contextmanager
def running(
    argv: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    seconds: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server until the block ends, with its output in `log`, and enters when it is ready.

    Raises RuntimeError with the end of the log when it ends early or takes longer than `seconds`.
    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            # It ends also when the tests are killed.
            ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if env is None else dict(env),
            start_new_session=True,  # Ctrl-C is for the tests; they stop it in their own order
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


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True

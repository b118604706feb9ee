"""A Docker engine of one run, with its own files, socket and network; nothing of it outlives it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.requirements import require
from tests.standins.image.network import bridge, is_left
from tests.standins.image.parts import HOME, part, running
from tests.standins.models.reach import Reach

_CGROUPS = Path("/sys/fs/cgroup")
_FOLDER = Path("/tmp")


@dataclass(frozen=True)
class Engine:
    """A running engine; `env` leads a client to it, with settings and logins of its own."""

    socket: Path
    config: Path  # the client's folder: logins, and what buildx remembers
    log: Path
    reach: Reach | None

    @property
    def env(self) -> dict[str, str]:
        """What leads a client here. To log in or to build, it needs the `reach`, too."""
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.config),
        }

    def docker(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Returns what the real client prints. Raises RuntimeError with its errors if it fails."""
        # In a build, it is the client that asks a registry for a token.
        reach = self.reach
        done = subprocess.run(
            reach.argv("docker", *arguments) if reach else ["docker", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **(reach.env() if reach else {}), **self.env},
        )
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr


@contextmanager
def dockerd(
    reach: Reach | None = None,
    *,
    containerd_store: bool = True,
    disk_mb: int | None = None,
) -> Iterator[Engine]:
    """Runs an engine until the block ends (root; from the main thread).

    AWS's host names lead it where `reach` does. Its images are in containerd's store, as in Docker
    29 and Docker Desktop, or in the classic one; with `disk_mb`, on a disk of that size.
    """
    require("Docker engine")
    _sweep()
    with (
        bridge() as network,
        # A short path: a socket's has at most 107 characters.
        tempfile.TemporaryDirectory(prefix=f"{network.name}-", dir=_FOLDER) as folder,
    ):
        here = Path(folder)
        for name in ("data", "client"):
            (here / name).mkdir()
        engine = Engine(here / "docker.sock", here / "client", here / "dockerd.log", reach)
        settings = _settings(here, network.name, network.mtu, containerd_store)
        (here / "daemon.json").write_text(json.dumps(settings))
        mounts = ["mkdir -p /run/containerd", "mount -t tmpfs tmpfs /run/containerd"]
        if reach:
            mounts.append(f"mount --bind {reach.hosts_file} /etc/hosts")
        if size := disk_mb or _spare_memory_mb():
            mounts.append(f"mount -t tmpfs -o size={size}m tmpfs {here}/data")
        script = " && ".join([*mounts, f"exec dockerd --config-file {here}/daemon.json"])
        # Its own process namespace: when the first process in it dies, so do all containers, and
        # with them go their mounts and network devices.
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv += [part("docker-init"), "--", "sh", "-c", script]
        env = {**os.environ, "PATH": f"{HOME}:{os.environ['PATH']}"}
        if reach:
            env["SSL_CERT_FILE"] = str(reach.authority)
        try:
            # unshare ignores SIGTERM (util-linux 2.38, unshare.c).
            kill = signal.SIGKILL
            with running(argv, engine.log, lambda: _answers(engine), env, stop=kill) as server:
                children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
                yield engine
            _wait_for_end([int(child) for child in children.split()])
        finally:
            _remove_cgroups(settings["cgroup-parent"])


def _spare_memory_mb() -> int:
    """Returns half of what is free where that is plenty, and 0 where it is not.

    The engine waits for the disk after every file of a layer, and its files die with it: in memory
    it is several times as fast, most of all on a machine whose disk has other things to do.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    free_kb = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return free_kb // 2048 if free_kb > 12 * 2**20 else 0


def _settings(here: Path, bridge: str, mtu: int, containerd_store: bool) -> dict[str, Any]:
    return {
        "data-root": f"{here}/data",
        "exec-root": f"{here}/run",
        "pidfile": f"{here}/pid",
        "hosts": [f"unix://{here}/docker.sock"],
        "bridge": bridge,
        "mtu": mtu,
        # The network is ours (network.py); ports are published by docker-proxy.
        "iptables": False,
        "ip6tables": False,
        "ip-masq": False,
        "ip-forward": False,
        "features": {"containerd-snapshotter": containerd_store},
        "cgroup-parent": f"/{bridge}",
    }


def _answers(engine: Engine) -> bool:
    return (
        engine.socket.exists()
        and subprocess.run(
            [part("docker"), "version"], env={**os.environ, **engine.env}, capture_output=True
        ).returncode
        == 0
    )


def _sweep() -> None:
    """Takes away what killed runs have left."""
    for top in _tops():
        for group in top.iterdir():
            if is_left(group.name):
                _remove_cgroups(group.name)
    for folder in _FOLDER.iterdir():
        if is_left(folder.name):
            shutil.rmtree(folder, ignore_errors=True)  # another run may be at it, too


def _tops() -> list[Path]:
    return [top for top in (_CGROUPS, *_CGROUPS.iterdir()) if top.is_dir()]


def _wait_for_end(processes: list[int]) -> None:
    # A first process ends after all others of its namespace. Whether anybody collects it then is
    # up to the machine; what is dead has no program any more.
    until = time.monotonic() + 20
    while any(Path(f"/proc/{each}/exe").exists() for each in processes):
        if time.monotonic() > until:
            raise TimeoutError(f"the engine's processes are still there: {processes}")
        time.sleep(0.02)


def _remove_cgroups(name: str) -> None:
    """Removes the control groups of containers that were killed; they empty a moment later."""
    until = time.monotonic() + 5
    groups = [top / name.strip("/") for top in _tops()]
    folders = [each for group in groups for each in (group, *group.glob("**/")) if each.is_dir()]
    for folder in sorted(set(folders), reverse=True):
        while folder.exists():
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

"""A Docker daemon for one test run, with its own files, socket and network, all removed later."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.requirements import require
from tests.standins.image.network import bridge, is_leftover
from tests.standins.image.tools import HOME, running_server, tool
from tests.standins.models.reach import Reach

_CGROUPS = Path("/sys/fs/cgroup")
_FOLDER = Path("/tmp")


@dataclass(frozen=True)
class DockerDaemon:
    """A running daemon, and a folder with the settings of its clients."""

    socket: Path
    config: Path
    """Folder of the clients' settings: logins and buildx's state."""
    log: Path
    reach: Reach | None

    @property
    def env(self) -> dict[str, str]:
        """Environment of a client; logins and builds also need that of `reach`."""
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.config),
        }

    def docker(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Return the output of the docker command. Raises RuntimeError with its errors."""
        # In a build, the client requests the registry's token.
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
    variables: Mapping[str, str] | None = None,
) -> Iterator[DockerDaemon]:
    """Run a daemon during the block (root; from the main thread), with these variables besides.

    It resolves AWS's host names as `reach` does. Images are in containerd's store, as in Docker 29
    and Docker Desktop, or in the classic store; with `disk_mb`, on a disk of that size.
    """
    require("Docker engine")
    _remove_leftovers()
    with (
        bridge() as network,
        # A short path, because a socket's path has at most 107 characters.
        tempfile.TemporaryDirectory(prefix=f"{network.name}-", dir=_FOLDER) as folder,
    ):
        here = Path(folder)
        for name in ("data", "client"):
            (here / name).mkdir()
        daemon = DockerDaemon(here / "docker.sock", here / "client", here / "dockerd.log", reach)
        settings = _settings(here, network.name, network.mtu, containerd_store)
        (here / "daemon.json").write_text(json.dumps(settings))
        mounts = ["mkdir -p /run/containerd", "mount -t tmpfs tmpfs /run/containerd"]
        if reach:
            mounts.append(f"mount --bind {reach.hosts_file} /etc/hosts")
        if size := disk_mb or _spare_memory_mb():
            mounts.append(f"mount -t tmpfs -o size={size}m tmpfs {here}/data")
        script = " && ".join([*mounts, f"exec dockerd --config-file {here}/daemon.json"])
        # Its own process namespace: when the first process in it dies, the kernel ends all
        # containers and removes their mounts and network devices.
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv += [tool("docker-init"), "--", "sh", "-c", script]
        env = {**os.environ, "PATH": f"{HOME}:{os.environ['PATH']}"}
        if reach:
            env["SSL_CERT_FILE"] = str(reach.authority)
        env |= variables or {}
        try:
            # unshare ignores SIGTERM (util-linux 2.38, unshare.c).
            kill = signal.SIGKILL
            ready = partial(_answers, daemon)
            with running_server(argv, daemon.log, ready, env, stop=kill) as server:
                children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
                yield daemon
            _wait_for_end([int(child) for child in children.split()])
        finally:
            _remove_cgroups(settings["cgroup-parent"])


def _spare_memory_mb() -> int:
    """Return half of the free memory if there is plenty, else 0.

    The daemon syncs every file of a layer to disk, although its files are deleted after the run. In
    memory it is several times as fast, most of all on a machine with a busy disk.
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
        # network.py makes the network; docker-proxy publishes ports.
        "iptables": False,
        "ip6tables": False,
        "ip-masq": False,
        "ip-forward": False,
        "features": {"containerd-snapshotter": containerd_store},
        "cgroup-parent": f"/{bridge}",
    }


def _answers(daemon: DockerDaemon) -> bool:
    return (
        daemon.socket.exists()
        and subprocess.run(
            [tool("docker"), "version"], env={**os.environ, **daemon.env}, capture_output=True
        ).returncode
        == 0
    )


def _remove_leftovers() -> None:
    """Remove control groups and folders of killed runs."""
    for top in _cgroup_roots():
        for group in top.iterdir():
            if is_leftover(group.name):
                _remove_cgroups(group.name)
    for folder in _FOLDER.iterdir():
        if is_leftover(folder.name):
            shutil.rmtree(folder, ignore_errors=True)  # another run may delete it too


def _cgroup_roots() -> list[Path]:
    return [top for top in (_CGROUPS, *_CGROUPS.iterdir()) if top.is_dir()]


def _wait_for_end(processes: list[int]) -> None:
    # The first process of a namespace ends after all others. It may stay as a zombie, which has no
    # program any more.
    until = time.monotonic() + 60
    while any(Path(f"/proc/{each}/exe").exists() for each in processes):
        if time.monotonic() > until:
            raise TimeoutError(f"the daemon's processes are still running: {processes}")
        time.sleep(0.02)


def _remove_cgroups(name: str) -> None:
    """Remove the control groups of killed containers; they become empty a moment later."""
    until = time.monotonic() + 60
    groups = [top / name.strip("/") for top in _cgroup_roots()]
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

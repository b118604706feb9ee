"""`--nat`: the agent behind a NAT such as AWS's, and a TURN server where both sides reach it.

In AWS an agent has no address of its own and sits behind a symmetric NAT: but for callers with a
public address, only a TURN relay connects it. On a laptop everything connects, and nobody learns
whether their TURN works. Here the agent gets the network that it will have there.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from voicecore.catalog.turn_sources import CHOICE, chosen
from voicecore.catalog.turn_sources.variables import NETWORK
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local.network import coturn, namespaces
from voicecore.local.network.namespaces import Namespace, NetworkFailed, Rules, is_left
from voicecore.local.processes.child import Child, Guard
from voicecore.local.sessions.agent_process import AgentSpec

TOOLS = {"ip": "iproute2", "iptables": "iptables", coturn.PROGRAM: "coturn"}
"""The programs it takes, and Debian's packages of them."""

# Where no agent in AWS sends a packet to: private networks, and a link's own.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
_RESOLV = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_FORWARDED = Path("/run/voicecore.forward")  # we switched it on
_START_SECONDS = 5.0
_POLL = 0.02


class CannotNat(VoicecoreError):
    """No NAT can be made here to put an agent behind."""


@dataclass(frozen=True)
class Behind:
    """What it takes to start an agent behind the NAT, and to reach it."""

    inside: Namespace
    address: str
    udp: bool
    turn: coturn.Server

    def spec(self, spec: AgentSpec) -> AgentSpec:
        """The agent, to be started there."""
        env = {
            **spec.env,
            **self.variables(spec.env),
            # As `voicecore deploy` says it.
            NETWORK: "VPC" if self.udp else "PUBLIC",
            # As in its image: AgentCore's SDK listens beyond localhost with it.
            "DOCKER_CONTAINER": "1",
        }
        argv = tuple(self.inside.argv(*spec.argv))
        return replace(spec, argv=argv, env=env, host=self.address)

    def variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """What agent and session server need to use our TURN; nothing if `env` names another."""
        if env.get(CHOICE) or chosen(env):
            return {}
        return {"COTURN_URLS": ",".join(self.turn.uris), "COTURN_SECRET": self.turn.secret}


def why_not(platform: str, user: int, missing: Sequence[str]) -> CannotNat | None:
    """Why a process of `user` (0 is root) that lacks some of TOOLS gets no NAT; None if it does."""
    if platform != "linux":
        return CannotNat(
            "--nat needs Linux, whose kernel has networks inside one machine.",
            "Run the project in a virtual machine with Linux, or leave it out:  voicecore dev",
            ExitCode.MISSING_TOOL,
        )
    if missing:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        # Debian starts a coturn of its own with the package, open to the network.
        stop = " && sudo systemctl disable --now coturn" if coturn.PROGRAM in missing else ""
        return CannotNat(
            f"--nat needs {', '.join(missing)}, which this machine lacks.",
            f"Install what is missing:  sudo apt-get install {packages}{stop}",
            ExitCode.MISSING_TOOL,
        )
    if user != 0:
        return CannotNat(
            "--nat needs root: only root can make a network.",
            'Run it as root:  sudo --preserve-env "$(command -v voicecore)" dev --nat',
            ExitCode.MISSING_TOOL,
        )
    return None


def check() -> None:
    """Raise CannotNat if this machine cannot do it, with what to type."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if refusal := why_not(sys.platform, os.geteuid(), missing):
        raise refusal


def hand_back(folder: Path, env: Mapping[str, str]) -> None:
    """Give what root has made in `folder` to who called sudo: they go on without it."""
    if "SUDO_UID" not in env:
        return
    user, group = int(env["SUDO_UID"]), int(env["SUDO_GID"])
    for path in folder.rglob("*"):
        if path.lstat().st_uid == 0:
            os.chown(path, user, group, follow_symlinks=False)


@asynccontextmanager
async def behind_nat(guard: Guard, logs: Path, udp: bool) -> AsyncGenerator[Behind]:
    """Lay out the network and start TURN; without `udp`, as in PUBLIC mode, the agent has none.

    Raises CannotNat and NetworkFailed. Nothing of it outlives the block; of a process that was
    killed the guard takes it away, or else the next to come here.
    """
    check()
    _sweep()
    async with AsyncExitStack() as stack:
        road = stack.enter_context(namespaces.street())
        stack.enter_context(_internet(road.id, str(road.subnet)))
        closed = (*_PRIVATE, *_own_addresses())
        rules = Rules(udp=udp, resolvers=tuple(_resolvers()), closed=closed, door=road.here)
        house = road.house("agent", rules)
        place, address = road.dweller("turn")
        server = coturn.Server(address, secret=secrets.token_hex(16))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-turn-")))
        await _start(stack, place, server, folder, guard, logs / "turn.log")
        yield Behind(house.inside, house.address, udp, server)


async def _start(
    stack: AsyncExitStack,
    place: Namespace,
    server: coturn.Server,
    folder: Path,
    guard: Guard,
    log: Path,
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: list[str] = []

    def receive(lines: list[str]) -> None:
        tail[:] = [*tail, *lines][-20:]
        with log.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    sweeping = (sys.executable, "-m", "voicecore.local.network.nat")
    argv = place.argv(*coturn.argv(server, folder))
    child = await Child.start(argv, folder, os.environ, guard, receive, after=sweeping)
    stack.push_async_callback(child.stop, 1.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while not child.exited.done():
                if await asyncio.to_thread(coturn.answers, server, _POLL):
                    return
                await asyncio.wait({child.exited}, timeout=_POLL)
    raise NetworkFailed("coturn does not start: " + "; ".join(tail[-3:]), f"Log: {log}")


@contextmanager
def _internet(device: str, subnet: str) -> Generator[None]:
    """Let what comes from `device` out by this machine's own way, at its address."""
    rules = internet_rules(device, subnet)
    try:
        for table, chain, rule in rules:
            namespaces.run(["iptables", "-w", "-t", table, "-I", chain, *rule])
        Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding").write_text("1")
        if _FORWARD.read_text().strip() == "0":
            _FORWARDED.touch()
            _FORWARD.write_text("1")
        yield
    finally:
        for table, chain, rule in rules:
            with suppress(NetworkFailed):  # one that was not made
                namespaces.run(["iptables", "-w", "-t", table, "-D", chain, *rule])
        _stop_forwarding(lambda name: name != device)


def internet_rules(device: str, subnet: str) -> list[tuple[str, str, list[str]]]:
    """What the firewall needs, (table, chain, rule); Docker's and others' may stand closed."""
    mark = ["-m", "comment", "--comment", device]
    return [
        ("filter", "FORWARD", ["-i", device, *mark, "-j", "ACCEPT"]),
        ("filter", "FORWARD", ["-o", device, *mark, "-j", "ACCEPT"]),
        ("nat", "POSTROUTING", ["-s", subnet, "!", "-o", device, *mark, "-j", "MASQUERADE"]),
    ]


def _sweep() -> None:
    """Take away what killed runs have left."""
    for table in ("filter", "nat"):
        for line in namespaces.run(["iptables", "-w", "-t", table, "-S"]).splitlines():
            words = line.split()
            if "--comment" in words and is_left(words[words.index("--comment") + 1]):
                with suppress(NetworkFailed):  # another run sweeps, too
                    namespaces.run(["iptables", "-w", "-t", table, "-D", *words[1:]])
    namespaces.sweep()
    _stop_forwarding(lambda _: True)


def _stop_forwarding(is_other: Callable[[str], bool]) -> None:
    """Forward no more if it was us who began, and no other network of ours is there."""
    links = json.loads(namespaces.ip("-json", "link", "show", "type", "veth") or "[]")
    names = [link["ifname"] for link in links if link]
    if not any(name.startswith(namespaces.PREFIX) and is_other(name) for name in names):
        with suppress(FileNotFoundError):
            _FORWARDED.unlink()
            _FORWARD.write_text("0")


def _own_addresses() -> Iterator[str]:
    """The addresses of this machine: callers on it stand for callers far away."""
    for link in json.loads(namespaces.ip("-json", "-4", "address")):
        for address in link.get("addr_info", []):
            yield f"{address['local']}/32"


def _resolvers() -> list[str]:
    """Who resolves names, as far as one can reach them from another network."""
    for path in _RESOLV:
        with suppress(OSError):
            if found := resolvers_in(path.read_text(encoding="utf-8", errors="replace")):
                return found
    return []


def resolvers_in(text: str) -> list[str]:
    """The IPv4 resolvers that a resolv.conf names, but this machine's own."""
    words = [line.split() for line in text.splitlines()]
    named = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    v4 = [name for name in named if ":" not in name]
    return [name for name in v4 if not ip_address(name).is_loopback]


if __name__ == "__main__":
    _sweep()

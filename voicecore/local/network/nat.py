"""Owns `--nat`: the agent behind a NAT such as AWS's, and a TURN server that both sides reach.

In AWS an agent has no address of its own and sits behind a symmetric NAT: unless the caller has a
public address, only a TURN relay connects the two. On a laptop everything connects, so a broken
TURN setup goes unnoticed. This module gives the agent the network that it will have in AWS.
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
from voicecore.local.network.coturn import CoturnServer
from voicecore.local.network.namespaces import Namespace, NatRules, NetworkFailed, is_leftover
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.sessions.agent_process import AgentSpec
from voicecore.project.no_links import within

TOOLS = {"ip": "iproute2", "iptables": "iptables", coturn.PROGRAM: "coturn"}
"""The programs that it needs, and Debian's packages of them."""

# Agents in AWS cannot send to these: private networks and link-local addresses.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
_RESOLV = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_FORWARD_CHANGED = Path("/run/voicecore.forward")  # exists when we enabled forwarding
_START_SECONDS = 5.0
_POLL = 0.02


class NatUnavailable(VoicecoreError):
    """The machine cannot create a NAT for an agent."""


@dataclass(frozen=True)
class NatEnvironment:
    """The network behind the NAT, and the TURN server in front of it."""

    inside: Namespace
    address: str
    udp: bool
    turn: CoturnServer

    def spec(self, spec: AgentSpec) -> AgentSpec:
        """Return the spec of the same agent behind the NAT."""
        env = {
            **spec.env,
            **self.turn_variables(spec.env),
            # `voicecore deploy` sets the same value.
            NETWORK: "VPC" if self.udp else "PUBLIC",
            # As in its image: AgentCore's SDK then listens beyond localhost.
            "DOCKER_CONTAINER": "1",
        }
        # The runtime is outside, so a command that names localhost would not be reached.
        words = ("0.0.0.0" if word == "127.0.0.1" else word for word in spec.argv)  # noqa: S104
        argv = tuple(self.inside.argv(*words))
        shell = tuple(self.inside.argv(*spec.shell))
        return replace(spec, argv=argv, env=env, host=self.address, shell=shell)

    def turn_variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for our TURN server; none if `env` configures another."""
        if env.get(CHOICE) or chosen(env):
            return {}
        return {"COTURN_URLS": ",".join(self.turn.uris), "COTURN_SECRET": self.turn.secret}


def unavailable(platform: str, user: int, missing: Sequence[str]) -> NatUnavailable | None:
    """Return why a process of `user` (0 is root) that lacks `missing` of TOOLS cannot use --nat."""
    if platform != "linux":
        return NatUnavailable(
            "--nat needs Linux, which can create networks inside one machine.",
            "Run the project in a Linux virtual machine, or omit --nat:  voicecore dev",
            ExitCode.MISSING_TOOL,
        )
    if missing:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        # Debian's package starts a coturn service that is open to the network.
        stop = " && sudo systemctl disable --now coturn" if coturn.PROGRAM in missing else ""
        return NatUnavailable(
            f"--nat needs {', '.join(missing)}, which this machine lacks.",
            f"Install it:  sudo apt-get install {packages}{stop}",
            ExitCode.MISSING_TOOL,
        )
    if user != 0:
        return NatUnavailable(
            "--nat needs root: only root can create a network.",
            'Run it as root:  sudo --preserve-env "$(command -v voicecore)" dev --nat',
            ExitCode.MISSING_TOOL,
        )
    return None


def require_nat() -> None:
    """Raise NatUnavailable, with the command that helps, unless this machine supports --nat."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if error := unavailable(sys.platform, os.geteuid(), missing):
        raise error


def return_ownership(folder: Path, env: Mapping[str, str]) -> None:
    """Give root's files in `folder` to the user who called sudo, who later works without it."""
    if "SUDO_UID" not in env:
        return
    user, group = int(env["SUDO_UID"]), int(env["SUDO_GID"])
    for path in folder.rglob("*"):
        if path.lstat().st_uid == 0:
            os.chown(path, user, group, follow_symlinks=False)


@asynccontextmanager
async def nat_environment(reaper: Reaper, logs: Path, udp: bool) -> AsyncGenerator[NatEnvironment]:
    """Create the network and start TURN; without `udp` the agent has none, as in PUBLIC mode.

    Raises NatUnavailable and NetworkFailed. Everything is removed when the block ends. If the
    process is killed, the reaper removes it, or else the next process that comes here.
    """
    require_nat()
    _remove_leftovers()
    async with AsyncExitStack() as stack:
        public = stack.enter_context(namespaces.public_network())
        stack.enter_context(_internet(public.id, str(public.subnet)))
        no_udp_to = (*_PRIVATE, *_own_addresses())
        rules = NatRules(
            udp=udp, resolvers=tuple(_resolvers()), no_udp_to=no_udp_to, tcp_from=public.gateway
        )
        nat = public.add_nat("agent", rules)
        place, address = public.add_host("turn")
        server = CoturnServer(address, secret=secrets.token_hex(16))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voicecore-turn-")))
        await _start_coturn(stack, place, server, folder, reaper, logs / "turn.log")
        yield NatEnvironment(nat.inside, nat.address, udp, server)


async def _start_coturn(
    stack: AsyncExitStack,
    place: Namespace,
    server: CoturnServer,
    folder: Path,
    reaper: Reaper,
    log: Path,
) -> None:
    tail: list[str] = []

    def receive(lines: list[str]) -> None:
        tail[:] = [*tail, *lines][-20:]
        opener = within(log.parents[1])
        with open(log, "a", encoding="utf-8", opener=opener) as file:
            file.writelines(f"{line}\n" for line in lines)

    cleanup = (sys.executable, "-m", "voicecore.local.network.nat")
    argv = place.argv(*coturn.write_config(coturn.config(server, folder), folder))
    child = await Child.start(argv, folder, os.environ, reaper, receive, cleanup=cleanup)
    stack.push_async_callback(child.stop, 1.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while not child.exited.done():
                if await asyncio.to_thread(coturn.answers_stun, server.address, _POLL):
                    return
                await asyncio.wait({child.exited}, timeout=_POLL)
    raise NetworkFailed("coturn did not start: " + "; ".join(tail[-3:]), f"Log: {log}")


@contextmanager
def _internet(device: str, subnet: str) -> Generator[None]:
    """Route packets from `device` to the internet, with this machine's address as their source."""
    rules = internet_rules(device, subnet)
    try:
        for table, chain, rule in rules:
            namespaces.run(["iptables", "-w", "-t", table, "-I", chain, *rule])
        Path(f"/proc/sys/net/ipv4/conf/{device}/forwarding").write_text("1")
        if _FORWARD.read_text().strip() == "0":
            _FORWARD_CHANGED.touch()
            _FORWARD.write_text("1")
        yield
    finally:
        for table, chain, rule in rules:
            with suppress(NetworkFailed):  # this rule was not added
                namespaces.run(["iptables", "-w", "-t", table, "-D", chain, *rule])
        _restore_forwarding(lambda name: name != device)


def internet_rules(device: str, subnet: str) -> list[tuple[str, str, list[str]]]:
    """Return the firewall rules (table, chain, rule); other rules, such as Docker's, may block."""
    mark = ["-m", "comment", "--comment", device]
    return [
        ("filter", "FORWARD", ["-i", device, *mark, "-j", "ACCEPT"]),
        ("filter", "FORWARD", ["-o", device, *mark, "-j", "ACCEPT"]),
        ("nat", "POSTROUTING", ["-s", subnet, "!", "-o", device, *mark, "-j", "MASQUERADE"]),
    ]


def _remove_leftovers() -> None:
    """Remove rules, namespaces and links of killed processes."""
    for table in ("filter", "nat"):
        for line in namespaces.run(["iptables", "-w", "-t", table, "-S"]).splitlines():
            words = line.split()
            if "--comment" in words and is_leftover(words[words.index("--comment") + 1]):
                with suppress(NetworkFailed):  # another process removed it just now
                    namespaces.run(["iptables", "-w", "-t", table, "-D", *words[1:]])
    namespaces.remove_leftovers()
    _restore_forwarding(lambda _: True)


def _restore_forwarding(is_other: Callable[[str], bool]) -> None:
    """Disable forwarding if we enabled it and no other network of ours exists."""
    links = json.loads(namespaces.ip("-json", "link", "show", "type", "veth") or "[]")
    names = [link["ifname"] for link in links if link]
    if not any(name.startswith(namespaces.PREFIX) and is_other(name) for name in names):
        with suppress(FileNotFoundError):
            _FORWARD_CHANGED.unlink()
            _FORWARD.write_text("0")


def _own_addresses() -> Iterator[str]:
    """Yield the addresses of this machine: callers on it represent callers far away."""
    for link in json.loads(namespaces.ip("-json", "-4", "address")):
        for address in link.get("addr_info", []):
            yield f"{address['local']}/32"


def _resolvers() -> list[str]:
    """Return the DNS resolvers that can be reached from another network."""
    for path in _RESOLV:
        with suppress(OSError):
            if found := resolvers_in(path.read_text(encoding="utf-8", errors="replace")):
                return found
    return []


def resolvers_in(text: str) -> list[str]:
    """Return the IPv4 resolvers in a resolv.conf, except this machine's own."""
    words = [line.split() for line in text.splitlines()]
    named = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    v4 = [name for name in named if ":" not in name]
    return [name for name in v4 if not ip_address(name).is_loopback]


if __name__ == "__main__":
    _remove_leftovers()

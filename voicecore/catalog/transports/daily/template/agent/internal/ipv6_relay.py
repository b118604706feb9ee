"""Relays Daily's WebRTC traffic out of AgentCore's containers, which have IPv6 addresses only.

IPv4 servers, like Daily's TURN servers, are reached by NAT64: DNS gives an IPv6 address for their
name, which is translated on the way. Python's sockets use it without knowing. libwebrtc, which
carries Daily's media, does not. So it gets TURN servers that it can reach: sockets on this
container's own address, which forward every packet to the real server, and every answer back.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import re
import secrets
import socket
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Returns a room's ICE servers; Daily's own clients use it.
SERVERS = "https://gs.daily.co/rooms/ice/{domain}/{room}"
ANSWER_SECONDS = 5.0

ADDRESSES = Path("/proc/net/if_inet6")
GLOBAL_SCOPE = "00"

# RFC 7065, with hosts as Daily names them. turns: uses TCP, which is not relayed here.
URL = re.compile(r"turn:(?P<host>[\w.-]+)(:(?P<port>\d{1,5}))?(\?transport=udp)?")
TURN_PORT = 3478

# RFC 8656: an Allocate request for UDP. Without credentials a TURN server refuses it at once.
ALLOCATE = bytes.fromhex("0003 0008 2112a442")
FOR_UDP = bytes.fromhex("0019 0004 11000000")
TRY_SECONDS = (0.2, 0.4, 0.8)

PACKET_BYTES = 65_535
# libwebrtc has a socket for each of its two transports, and new ones after a restart.
CLIENTS = 64

Address = tuple[Any, ...]
"""A socket address: four parts for IPv6, two for IPv4."""


class NoTurnServer(Exception):
    """No TURN server of the room can be reached; the message says why."""


@dataclass(frozen=True)
class Server:
    """A TURN server that answers, and the family of its address."""

    family: int
    address: Address


@asynccontextmanager
async def ice_config(room_url: str) -> AsyncIterator[dict[str, Any] | None]:
    """Yield an argument for `CallClient.set_ice_config`, valid in the block; None if not needed.

    Raises NoTurnServer if it is needed and no server answers.
    """
    own = own_address(ADDRESSES.read_text() if ADDRESSES.exists() else "")
    # In AWS, IPv4 sockets may seem to work, but libwebrtc has no address to use them with.
    in_aws = os.environ.get("NETWORK_MODE", "").upper() == "VPC"
    if own is None or not (in_aws or not has_ipv4()):
        yield None
        return
    servers = await asyncio.to_thread(ask, room_url)
    with ExitStack() as relays:
        yield {"placement": "replace", "iceServers": await relayed(servers, own, relays)}


def own_address(interfaces: str) -> str | None:
    """Return the global IPv6 address in the text of /proc/net/if_inet6, or None."""
    for line in interfaces.splitlines():
        digits, _, _, scope, _, name = line.split()
        if scope == GLOBAL_SCOPE and name != "lo":
            return str(ipaddress.IPv6Address(int(digits, 16)))
    return None


def has_ipv4() -> bool:
    """Return True if there is a route to the internet's IPv4 addresses. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # for documentation only (RFC 5737)
        except OSError:
            return False
        return True


def ask(room_url: str) -> list[dict[str, Any]]:
    """Return the room's ICE servers. Blocks for ANSWER_SECONDS at most. Raises NoTurnServer."""
    url = urlsplit(room_url)
    domain, _, rest = (url.hostname or "").partition(".")
    if rest != "daily.co" or not url.path.strip("/"):
        raise NoTurnServer(f"{room_url} is not a room at daily.co")
    place = SERVERS.format(domain=domain, room=url.path.strip("/"))
    try:
        with urllib.request.urlopen(place, timeout=ANSWER_SECONDS) as answer:
            servers = json.load(answer)["iceConfig"]["iceServers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoTurnServer(f"Daily did not return its TURN servers: {error!r}") from error
    return [server for server in servers if isinstance(server, dict)]


async def relayed(
    servers: list[dict[str, Any]], own: str, relays: ExitStack
) -> list[dict[str, Any]]:
    """Return the servers at addresses that libwebrtc reaches, until `relays` is closed.

    Only TURN over UDP: STUN does not work behind AWS's NAT, and TCP is slower. Raises NoTurnServer.
    """
    names = list(dict.fromkeys(name for server in servers for name in turn_servers(server)))
    found = dict(zip(names, await asyncio.gather(*map(first_answering, names)), strict=True))
    ports = {
        name: relays.enter_context(Relay(own, server)).port
        for name, server in found.items()
        if server
    }
    if not ports:
        tried = ", ".join(f"{host}:{port}" for host, port in names) or "none uses UDP"
        raise NoTurnServer(f"no answer from Daily's TURN servers: {tried}")
    urls = {name: f"turn:[{own}]:{port}?transport=udp" for name, port in ports.items()}
    return [
        {
            "urls": reached,
            "username": server.get("username", ""),
            "credential": server.get("credential", ""),
        }
        for server in servers
        if (reached := [urls[name] for name in turn_servers(server) if name in urls])
    ]


def turn_servers(server: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield host and port of each URL of the server that is TURN over UDP."""
    urls = server.get("urls") or []
    for url in [urls] if isinstance(urls, str) else urls:
        if found := URL.fullmatch(str(url)):
            yield found["host"], int(found["port"] or TURN_PORT)


async def first_answering(name: tuple[str, int]) -> Server | None:
    """Return the first address of the name, IPv4 or IPv6, where a TURN server answers."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(*name, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    tries = [asyncio.create_task(answers(Server(f, a))) for f, _, _, _, a in found]
    try:
        for answer in asyncio.as_completed(tries):
            if server := await answer:
                return server
    finally:
        for attempt in tries:
            attempt.cancel()
    return None


async def answers(server: Server) -> Server | None:
    """Return the server if it answers: a TURN server refuses a request without credentials."""
    loop = asyncio.get_running_loop()
    question = ALLOCATE + secrets.token_bytes(12) + FOR_UDP
    with socket.socket(server.family, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        with contextlib.suppress(OSError):
            probe.connect(server.address)
            for seconds in TRY_SECONDS:  # UDP: a packet may be lost
                probe.send(question)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        answer = await loop.sock_recv(probe, PACKET_BYTES)
                    return server if answer[4:20] == question[4:20] else None
    return None


class Relay:
    """Forwards packets between libwebrtc's sockets, on this machine, and one TURN server.

    A TURN server distinguishes clients by address, so each socket gets its own socket out.
    """

    def __init__(self, own: str, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._own, self._server = own, server
        self._inside = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._outside: dict[Address, socket.socket] = {}
        self._inside.setblocking(False)
        self._inside.bind((own, 0))
        self.port: int = self._inside.getsockname()[1]
        self._loop.add_reader(self._inside, self._to_server)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._inside, *self._outside.values()):
            self._loop.remove_reader(each)
            each.close()

    def _to_server(self) -> None:
        for data, client in packets(self._inside):
            # No other host may use the relay.
            if client[0] == self._own:
                # Lost packets are the sender's to repeat, as always with UDP.
                with contextlib.suppress(OSError):
                    self._outside_of(client).send(data)

    def _to_client(self, outside: socket.socket, client: Address) -> None:
        for data, _ in packets(outside):
            with contextlib.suppress(OSError):
                self._inside.sendto(data, client)

    def _outside_of(self, client: Address) -> socket.socket:
        if client in self._outside:
            return self._outside[client]
        if len(self._outside) >= CLIENTS:
            oldest = self._outside.pop(next(iter(self._outside)))
            self._loop.remove_reader(oldest)
            oldest.close()
        outside = socket.socket(self._server.family, socket.SOCK_DGRAM)
        outside.setblocking(False)
        outside.connect(self._server.address)
        self._outside[client] = outside
        self._loop.add_reader(outside, self._to_client, outside, client)
        return outside


def packets(sock: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """Yield all packets that have arrived at a socket."""
    while True:
        try:
            yield sock.recvfrom(PACKET_BYTES)
        except OSError:
            return  # no more packets, or an earlier one was rejected

"""Owns the choice of a TURN relay: the first of several servers that answers.

aioice uses one TURN server, and is silent when it refuses or does not answer. Generated agents have
a copy of this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from aioice import Candidate, Connection, TransportPolicy
from aioice.ice import CandidatePair, StunProtocol, relayed_candidate
from aioice.stun import Message, TransactionError
from aiortc import RTCPeerConnection
from aiortc.rtcicetransport import parse_stun_turn_uri

from .relay_failure import RelayFailure, relay_failure

# An allocation takes two round trips. A route that has not answered after this many seconds may be
# behind a firewall that blocks UDP, so the other routes are tried too.
ROUTE_HEAD_START = 0.75
# The same for a source of credentials, with all its routes.
SOURCE_HEAD_START = 2.0
# Limit for one allocation.
ALLOCATION_SECONDS = 2.0

Relay = tuple[Candidate, StunProtocol]
"""An address on a TURN server, held for as long as the protocol is open."""
Attempt = Callable[[], Awaitable[Relay]]
"""One attempt to get a relay. Raises RelayFailure."""


@dataclass(frozen=True)
class TurnRoute:
    """One way to reach one TURN server, over "udp", "tcp" or "tls"."""

    host: str
    port: int
    transport: str
    username: str
    password: str

    def __str__(self) -> str:
        """Return the URL, without the credentials."""
        scheme = "turns" if self.transport == "tls" else "turn"
        transport = "udp" if self.transport == "udp" else "tcp"
        return f"{scheme}:{self.host}:{self.port}?transport={transport}"


FASTEST_FIRST = ("udp", "tls", "tcp")
TRANSPORTS = {("turn", "udp"): "udp", ("turn", "tcp"): "tcp", ("turns", "tcp"): "tls"}


def turn_routes(urls: Iterable[str], username: str, password: str, udp: bool) -> list[TurnRoute]:
    """Return the usable routes of these URLs: one of each transport, fastest first, then the rest.

    `udp`: UDP leaves this network. Raises ValueError for a malformed URL.
    """
    ranks: dict[TurnRoute, tuple[int, int]] = {}
    seen: dict[str, int] = dict.fromkeys(FASTEST_FIRST, 0)
    # aiortc rejects STUN URLs that name a transport, as Twilio's do.
    for parsed in (parse_stun_turn_uri(url) for url in urls if url.startswith("turn")):
        # turns: over UDP is DTLS, which aioice does not speak.
        transport = TRANSPORTS.get((parsed["scheme"], parsed.get("transport", "")))
        if transport and (udp or transport != "udp"):
            route = TurnRoute(parsed["host"], parsed["port"], transport, username, password)
            ranks[route] = seen[transport], FASTEST_FIRST.index(transport)
            seen[transport] += 1
    return sorted(ranks, key=ranks.__getitem__)


RouteSource = Callable[[], Awaitable[Sequence[TurnRoute]]]
"""A source of TURN credentials. Raises RelayFailure with the reason."""


class RelayedConnection(Connection):
    """aioice's connection, with relays of several sources."""

    sources: Sequence[RouteSource] = ()
    repeated_checks: tuple[CandidatePair, ...] = ()
    """Pairs whose check was repeated at once."""
    failure = ""
    """Reason of the missing relay; empty if the connection has one or needs none."""

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 - the name is aioice's
    ) -> list[Candidate]:
        """Gather the addresses where the other side can reach us. Raises RelayFailure if none."""
        relay_only = self._transport_policy is TransportPolicy.RELAY
        # A machine without a network can still call itself.
        addresses = addresses or ([] if relay_only else ["127.0.0.1"])
        candidates = await super().get_component_candidates(component, addresses, timeout)
        try:
            candidate, protocol = await self._relay(component)
        except RelayFailure as error:
            if not candidates:
                raise
            self.failure = str(error)
        else:
            candidates.append(candidate)
            self._protocols.append(protocol)
        return candidates

    async def _relay(self, component: int) -> Relay:
        def on_route(route: TurnRoute) -> Attempt:
            return lambda: allocate(route, component, lambda: StunProtocol(self))

        def from_source(source: RouteSource) -> Attempt:
            async def attempt() -> Relay:
                attempts = [on_route(route) for route in await source()]
                return await first_relay(attempts, ROUTE_HEAD_START)

            return attempt

        return await first_relay([from_source(s) for s in self.sources], SOURCE_HEAD_START)

    def check_incoming(
        self, message: Message, addr: tuple[str, int], protocol: StunProtocol
    ) -> None:
        """Answer a connectivity check, and send our own at once.

        Our first check is lost if it arrives before the other side's relay or NAT lets us in.
        aioice repeats it after 0.5 s; RFC 8445 (7.3.1.4) repeats it now.
        """
        super().check_incoming(message, addr, protocol)
        for pair in self._check_list:
            same = pair.protocol is protocol and pair.remote_addr == addr
            if pair.task is None or pair.state is not CandidatePair.State.IN_PROGRESS:
                continue
            if same and pair not in self.repeated_checks:  # else both sides repeat forever
                self.repeated_checks = (*self.repeated_checks, pair)
                pair.task.cancel()
                pair.task = None
                self.check_start_task(pair)


def use_relays(peer: RTCPeerConnection, sources: Sequence[RouteSource]) -> None:
    """Make `peer` gather relays of these sources. Call it before the peer gathers candidates.

    aiortc creates its aioice connections itself and accepts no others, so their class is changed.
    """
    dtls = [t.receiver.transport for t in peer.getTransceivers()]
    for transport in [*dtls, *([peer.sctp.transport] if peer.sctp else [])]:
        connection = cast("RelayedConnection", transport.transport._connection)  # pyright: ignore - private
        connection.__class__ = RelayedConnection
        connection.sources = sources


async def allocate(route: TurnRoute, component: int, receiver: Callable[[], StunProtocol]) -> Relay:
    """Allocate a relay on this route. Raises RelayFailure."""
    try:
        async with asyncio.timeout(ALLOCATION_SECONDS):
            return await relayed_candidate(
                component=component,
                hide_related_address=True,
                protocol_factory=receiver,
                turn_server=(route.host, route.port),
                turn_username=route.username,
                turn_password=route.password,
                turn_ssl=route.transport == "tls",
                turn_transport="udp" if route.transport == "udp" else "tcp",
            )
    except (OSError, ValueError, OverflowError, TransactionError) as error:
        # ValueError of a name that no DNS has, OverflowError of a port above 65535
        raise relay_failure(str(route), route.username, error) from error


async def first_relay(attempts: Sequence[Attempt], head_start: float) -> Relay:
    """Return the relay of the first attempt that succeeds, and release the others' relays.

    The first attempt has a head start of this many seconds. After that, or when it fails, all
    others start at once: a server that is down must not cost the time of each of its routes.
    Raises RelayFailure with the reasons of all.
    """
    failures: list[RelayFailure] = []
    running = {asyncio.ensure_future(attempt()) for attempt in attempts[:1]}
    others = attempts[1:]
    try:
        while running:
            done, running = await asyncio.wait(
                running,
                timeout=head_start if others else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            relays: list[Relay] = []
            for attempt in done:
                try:
                    relays.append(attempt.result())
                except RelayFailure as error:
                    failures.append(error)
            for _, protocol in relays[1:]:
                protocol.transport.close()
            if relays:
                return relays[0]
            running |= {asyncio.ensure_future(attempt()) for attempt in others}
            others = ()
        raise RelayFailure.joined(failures)
    finally:
        for attempt in running:
            attempt.cancel()

"""A way to the other side through a TURN relay: the first of several that answers.

aioice uses one TURN server, and says nothing when that refuses or does not answer.
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

from .relay_failure import NoRelay, no_relay

# An allocation takes two round trips. Whoever has not answered after these seconds may be behind
# a firewall that lets no UDP through: the other ways are tried as well.
HEAD_START = 0.75
# The same for a source of credentials, with all its ways.
SOURCE_HEAD_START = 2.0
# What any way may take.
PATIENCE = 2.0

Relay = tuple[Candidate, StunProtocol]
"""An address on a TURN server, held as long as the protocol is open."""
Attempt = Callable[[], Awaitable[Relay]]
"""A try to get one. Raises NoRelay."""


@dataclass(frozen=True)
class Turn:
    """One way to one TURN server, by "udp", "tcp" or "tls"."""

    host: str
    port: int
    transport: str
    username: str
    password: str

    def __str__(self) -> str:
        """As a URL, without the credentials."""
        scheme = "turns" if self.transport == "tls" else "turn"
        transport = "udp" if self.transport == "udp" else "tcp"
        return f"{scheme}:{self.host}:{self.port}?transport={transport}"


FASTEST = ("udp", "tls", "tcp")
HOW = {("turn", "udp"): "udp", ("turn", "tcp"): "tcp", ("turns", "tcp"): "tls"}


def ways(urls: Iterable[str], username: str, password: str, udp: bool) -> list[Turn]:
    """The ways that these URLs name and that can be gone: the fastest first, one of each kind.

    Then come the others. `udp`: UDP gets out of here. Raises ValueError for what is no URL.
    """
    ranks: dict[Turn, tuple[int, int]] = {}
    seen: dict[str, int] = dict.fromkeys(FASTEST, 0)
    # Some answer with URLs of STUN that aiortc takes for malformed (Twilio's name a transport).
    for parsed in (parse_stun_turn_uri(url) for url in urls if url.startswith("turn")):
        # aioice speaks no DTLS, which turns: over UDP is.
        how = HOW.get((parsed["scheme"], parsed.get("transport", "")))
        if how and (udp or how != "udp"):
            turn = Turn(parsed["host"], parsed["port"], how, username, password)
            ranks[turn] = seen[how], FASTEST.index(how)
            seen[how] += 1
    return sorted(ranks, key=ranks.__getitem__)


Source = Callable[[], Awaitable[Sequence[Turn]]]
"""Who gives TURN credentials. Raises NoRelay with the reason."""


class Ice(Connection):
    """aioice's side of a connection, with relays of several sources."""

    sources: Sequence[Source] = ()
    repeated: tuple[CandidatePair, ...] = ()
    """Of which the check was repeated at once."""
    trouble = ""
    """Why there is no relay, where it goes on without."""

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 - aioice's name for it
    ) -> list[Candidate]:
        """Gather the addresses at which the other side may reach us. Raises NoRelay if none."""
        relay_only = self._transport_policy is TransportPolicy.RELAY
        # A machine without a network can still speak to itself.
        addresses = addresses or ([] if relay_only else ["127.0.0.1"])
        candidates = await super().get_component_candidates(component, addresses, timeout)
        try:
            candidate, protocol = await self._relay(component)
        except NoRelay as error:
            if not candidates:
                raise
            self.trouble = str(error)
        else:
            candidates.append(candidate)
            self._protocols.append(protocol)
        return candidates

    async def _relay(self, component: int) -> Relay:
        def way(turn: Turn) -> Attempt:
            return lambda: allocate(turn, component, lambda: StunProtocol(self))

        def through(source: Source) -> Attempt:
            async def attempt() -> Relay:
                return await first_of([way(turn) for turn in await source()], HEAD_START)

            return attempt

        return await first_of([through(source) for source in self.sources], SOURCE_HEAD_START)

    def check_incoming(
        self, message: Message, addr: tuple[str, int], protocol: StunProtocol
    ) -> None:
        """Answer a check, and check back at once.

        Our own first check was lost if it came before the other side's relay or NAT let us in.
        aioice would repeat it after 0.5 s; RFC 8445 (7.3.1.4) has it repeated now.
        """
        super().check_incoming(message, addr, protocol)
        for pair in self._check_list:
            same = pair.protocol is protocol and pair.remote_addr == addr
            if pair.task is None or pair.state is not CandidatePair.State.IN_PROGRESS:
                continue
            if same and pair not in self.repeated:  # else both sides do it for ever
                self.repeated = (*self.repeated, pair)
                pair.task.cancel()
                pair.task = None
                self.check_start_task(pair)


def use_relays(peer: RTCPeerConnection, sources: Sequence[Source]) -> None:
    """Let `peer` gather relays from these sources; to be called before it gathers.

    aiortc makes its aioice connections itself, and cannot be given others: these become ours.
    """
    dtls = [t.receiver.transport for t in peer.getTransceivers()]
    for transport in [*dtls, *([peer.sctp.transport] if peer.sctp else [])]:
        connection = cast("Ice", transport.transport._connection)  # pyright: ignore - private
        connection.__class__ = Ice
        connection.sources = sources


async def allocate(turn: Turn, component: int, receiver: Callable[[], StunProtocol]) -> Relay:
    """A relay of this TURN server. Raises NoRelay."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await relayed_candidate(
                component=component,
                hide_related_address=True,
                protocol_factory=receiver,
                turn_server=(turn.host, turn.port),
                turn_username=turn.username,
                turn_password=turn.password,
                turn_ssl=turn.transport == "tls",
                turn_transport="udp" if turn.transport == "udp" else "tcp",
            )
    except (OSError, TransactionError) as error:
        raise no_relay(str(turn), turn.username, error) from error


async def first_of(attempts: Sequence[Attempt], head_start: float) -> Relay:
    """The relay of the attempt that is first to get one; others' relays are given back.

    The first attempt has a start of so many seconds; then, or once it fails, all others begin: a
    server that is gone shall not cost the time of each of its ways. Raises NoRelay with the reasons
    of all.
    """
    failures: list[NoRelay] = []
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
                except NoRelay as error:
                    failures.append(error)
            for _, protocol in relays[1:]:
                protocol.transport.close()
            if relays:
                return relays[0]
            running |= {asyncio.ensure_future(attempt()) for attempt in others}
            others = ()
        raise NoRelay.of(failures)
    finally:
        for attempt in running:
            attempt.cancel()

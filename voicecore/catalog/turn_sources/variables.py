"""Owns the checks of TURN variables, so that a mistake is reported before it costs a call."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from voicecore.catalog.turn_sources import CHOICE, NONE, SOURCES, chosen
from voicecore.catalog.turn_sources.record import TurnSource

NETWORK = "NETWORK_MODE"
"""Variable that tells a deployed agent whether UDP leaves its network: VPC or PUBLIC."""

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>[\w.-]+|\[[\da-fA-F:]+\])(:(?P<port>\d{1,5}))?"
    r"(\?transport=(?P<transport>udp|tcp))?"
)  # RFC 7065, and RFC 7064 for stun


@dataclass(frozen=True)
class TurnMistake:
    """A variable that does not work, or not for every caller, and how to fix it."""

    variable: str
    message: str
    hint: str
    fatal: bool = True
    """True when no call connects; else only some callers are affected."""


@dataclass(frozen=True)
class TurnUrl:
    """The address of a TURN or STUN server, with its defaults filled in."""

    text: str
    scheme: str
    host: str
    port: int
    transport: str

    @property
    def relays(self) -> bool:
        """True when the agent can get a relay there: STUN has none, and aioice speaks no DTLS."""
        return self.scheme == "turn" or (self.scheme == "turns" and self.transport == "tcp")


def read_url(text: str) -> TurnUrl | None:
    """Parse a TURN or STUN URL; None if it is malformed."""
    found = _URL.fullmatch(text)
    if not found:
        return None
    secure = found["scheme"].endswith("s")
    port = int(found["port"] or (5349 if secure else 3478))
    transport = found["transport"] or ("tcp" if secure else "udp")
    return TurnUrl(text, found["scheme"], found["host"], port, transport) if port < 65536 else None


def mistakes_in(variables: Mapping[str, str], in_aws: bool, udp: bool) -> list[TurnMistake]:
    """Return all mistakes in the variables of an agent, fatal ones first.

    `in_aws`: only a relay can reach the agent. `udp`: UDP leaves its network; it does not leave
    AgentCore's PUBLIC network.
    """
    found = [*_choice_mistakes(variables, in_aws)]
    for source in chosen(variables):
        found += _source_mistakes(source, variables, in_aws, udp)
    return sorted(found, key=lambda mistake: not mistake.fatal)


def _choice_mistakes(variables: Mapping[str, str], in_aws: bool) -> Iterator[TurnMistake]:
    names = variables.get(CHOICE, "").replace(",", " ").split()
    for name in names:
        if name not in SOURCES and name != NONE:
            hint = f"Choose from {', '.join(SOURCES)}."
            yield TurnMistake(CHOICE, f"names {name!r}, which is not a TURN source", hint)
    if in_aws and (names == [NONE] or (not names and not chosen(variables))):
        yield TurnMistake(
            CHOICE,
            "selects no TURN source: an agent in AWS has no public address and needs a relay",
            "Use KVS, which needs no other account:  TURN_SOURCE=kvs",
        )


def _source_mistakes(
    source: TurnSource, variables: Mapping[str, str], in_aws: bool, udp: bool
) -> Iterator[TurnMistake]:
    missing = [need for need in source.needs if not variables.get(need)]
    for need in missing:
        yield TurnMistake(need, f"is required by {source.name}", f"Set {need} in agent/.env.")
    if not source.urls or source.urls in missing:
        return
    read = [(text, read_url(text)) for text in _listed(variables, source.urls)]
    form = "Separate URLs like turn:turn.example.com:3478?transport=udp with commas."
    for text, url in read:
        if url is None:
            yield TurnMistake(
                source.urls, f"has {text!r}, which is not the URL of a TURN server", form
            )
    urls = [url for _, url in read if url]
    usable = [url for url in urls if url.relays]
    if urls and not usable:
        stun = all("stun" in url.scheme for url in urls)
        yield TurnMistake(
            source.urls,
            f"names only {'STUN servers' if stun else 'TURN over DTLS'}: they give no relay, and "
            "only a relay connects through AWS's NAT",
            "Add a TURN server:  turn:turn.example.com:3478?transport=udp",
            fatal=in_aws,
        )
    elif usable and in_aws and not udp and all(url.transport == "udp" for url in usable):
        yield TurnMistake(
            source.urls,
            "names only TURN over UDP, which does not leave AgentCore's PUBLIC network",
            "Add a server over TLS, like turns:turn.example.com:443?transport=tcp, or deploy to a "
            "VPC.",
        )
    for url in usable:
        if in_aws and _is_private(url.host):
            yield TurnMistake(
                source.urls,
                f"names {url.host}, a private address that AWS cannot reach",
                "Use the server's public address or host name.",
            )
    if usable and all(url.port == 53 for url in usable):
        yield TurnMistake(
            source.urls,
            "names only port 53, which browsers block",
            "Add another port of the same server: 3478, 5349 or 443.",
            fatal=False,
        )


def _listed(variables: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in variables.get(name, "").split(",") if part.strip()]


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return False

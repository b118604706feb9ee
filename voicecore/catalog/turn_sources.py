"""The registry of TURN sources, and what is wrong with their variables, before it costs a call.

The agent has the same sources in its ice.py, by the same variables: it shares no code with us.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CHOICE = "TURN_SOURCE"
"""The variable that names the sources, in order; unset, those that have their variables."""
NETWORK = "NETWORK_MODE"
"""How a deployed agent learns whether UDP gets out of its network: VPC or PUBLIC."""
NONE = "none"
KVS = "kvs"

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>[\w.-]+|\[[\da-fA-F:]+\])(:(?P<port>\d{1,5}))?"
    r"(\?transport=(?P<transport>udp|tcp))?"
)  # RFC 7065, and RFC 7064 for stun


@dataclass(frozen=True)
class TurnSource:
    """Who hands out TURN credentials, and by which variables of the agent."""

    name: str
    title: str
    needs: tuple[str, ...]
    urls: str = ""
    """The variable that lists the servers, where they are the user's."""
    udp_port: int = 0
    """Where its relays listen by UDP; 0: where the user's URLs say."""


SOURCES = {
    source.name: source
    for source in (
        TurnSource(
            KVS,
            "Amazon Kinesis Video Streams",
            ("TURN_CHANNEL_PREFIX", "TURN_CHANNEL_COUNT"),
            udp_port=443,
        ),
        TurnSource(
            "cloudflare",
            "Cloudflare",
            ("CLOUDFLARE_TURN_KEY_ID", "CLOUDFLARE_TURN_API_TOKEN"),
            udp_port=3478,
        ),
        TurnSource(
            "twilio",
            "Twilio",
            ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
            udp_port=3478,
        ),
        TurnSource(
            "coturn",
            "a coturn of your own",
            ("COTURN_URLS", "COTURN_SECRET"),
            urls="COTURN_URLS",
        ),
        TurnSource("static", "servers of your own", ("ICE_SERVER_URLS",), urls="ICE_SERVER_URLS"),
    )
}


@dataclass(frozen=True)
class Mistake:
    """What cannot work, or not for everyone, and what to do about it."""

    variable: str
    message: str
    hint: str
    fatal: bool = True
    """Whether no call connects; else it is some callers' that do not."""


@dataclass(frozen=True)
class Url:
    """One address of a TURN or STUN server, its defaults filled in."""

    text: str
    scheme: str
    host: str
    port: int
    transport: str

    @property
    def relays(self) -> bool:
        """Whether the agent can get a relay there: not by STUN, nor by TURN over DTLS."""
        return self.scheme == "turn" or (self.scheme == "turns" and self.transport == "tcp")


def read_url(text: str) -> Url | None:
    """The URL in `text`; None when it is none."""
    found = _URL.fullmatch(text)
    if not found:
        return None
    secure = found["scheme"].endswith("s")
    port = int(found["port"] or (5349 if secure else 3478))
    transport = found["transport"] or ("tcp" if secure else "udp")
    return Url(text, found["scheme"], found["host"], port, transport) if port < 65536 else None


def chosen(variables: Mapping[str, str]) -> list[TurnSource]:
    """The sources that an agent with these variables asks, in order; unknown names left out."""
    names = variables.get(CHOICE, "").replace(",", " ").split()
    if names:
        return [SOURCES[name] for name in names if name in SOURCES]
    return [s for s in SOURCES.values() if all(variables.get(need) for need in s.needs)]


def mistakes_in(variables: Mapping[str, str], in_aws: bool, udp: bool) -> list[Mistake]:
    """All that is wrong with the variables of an agent, the worst first.

    `in_aws`: it can only be reached by a relay. `udp`: UDP gets out of its network, as it does not
    of AgentCore's PUBLIC one.
    """
    found = [*_choice_mistakes(variables, in_aws)]
    for source in chosen(variables):
        found += _source_mistakes(source, variables, in_aws, udp)
    return sorted(found, key=lambda mistake: not mistake.fatal)


def _choice_mistakes(variables: Mapping[str, str], in_aws: bool) -> Iterator[Mistake]:
    names = variables.get(CHOICE, "").replace(",", " ").split()
    for name in names:
        if name not in SOURCES and name != NONE:
            yield Mistake(CHOICE, f"{name!r} is no TURN source", f"Choose of {', '.join(SOURCES)}.")
    if in_aws and (names == [NONE] or (not names and not chosen(variables))):
        yield Mistake(
            CHOICE,
            "no TURN source: an agent in AWS has no address of its own, and nobody reaches it",
            "Use KVS, which needs no other account:  TURN_SOURCE=kvs",
        )


def _source_mistakes(
    source: TurnSource, variables: Mapping[str, str], in_aws: bool, udp: bool
) -> Iterator[Mistake]:
    missing = [need for need in source.needs if not variables.get(need)]
    for need in missing:
        yield Mistake(need, f"{source.name} needs it", f"Set {need} in agent/.env.")
    if not source.urls or source.urls in missing:
        return
    read = [(text, read_url(text)) for text in _listed(variables, source.urls)]
    form = "Each is like turn:turn.example.com:3478?transport=udp; a comma between two."
    for text, url in read:
        if url is None:
            yield Mistake(source.urls, f"{text!r} is no address of a TURN server", form)
    urls = [url for _, url in read if url]
    usable = [url for url in urls if url.relays]
    if urls and not usable:
        what = "STUN servers only" if all("stun" in u.scheme for u in urls) else "TURN by DTLS only"
        yield Mistake(
            source.urls,
            f"names {what}: they relay nothing, and behind AWS's NAT no other way connects",
            "Add a TURN server:  turn:turn.example.com:3478?transport=udp",
            fatal=in_aws,
        )
    elif usable and in_aws and not udp and all(url.transport == "udp" for url in usable):
        yield Mistake(
            source.urls,
            "names TURN by UDP only, which does not get out of AgentCore's PUBLIC network",
            "Add one by TLS, as turns:turn.example.com:443?transport=tcp, or deploy to a VPC.",
        )
    for url in usable:
        if in_aws and _is_private(url.host):
            yield Mistake(
                source.urls,
                f"{url.host} is an address in a private network, which AWS does not reach",
                "Name the server by its public address or host name.",
            )
    if usable and all(url.port == 53 for url in usable):
        yield Mistake(
            source.urls,
            "names port 53 only, which browsers refuse to call",
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

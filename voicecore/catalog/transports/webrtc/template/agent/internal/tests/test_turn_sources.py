"""TURN credentials come from the sources that are set, and only URLs that can work are used."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from .. import turn_sources
from ..relay_failure import NoRelay
from ..turn_relay import first_of, ways

KVS = (
    "turn:1-2-3-4.t-1.kinesisvideo.us-east-1.amazonaws.com:443?transport=udp",
    "turns:1-2-3-4.t-1.kinesisvideo.us-east-1.amazonaws.com:443?transport=udp",
    "turns:1-2-3-4.t-1.kinesisvideo.us-east-1.amazonaws.com:443?transport=tcp",
)
CLOUDFLARE = (
    "turn:turn.cloudflare.com:53?transport=udp",
    "turn:turn.cloudflare.com:3478?transport=udp",
    "turn:turn.cloudflare.com:80?transport=tcp",
    "turns:turn.cloudflare.com:5349?transport=tcp",
    "turns:turn.cloudflare.com:443?transport=tcp",
)


@pytest.mark.parametrize(
    ("urls", "usable"),
    [
        (KVS, (KVS[0], KVS[2])),
        (CLOUDFLARE, (CLOUDFLARE[1], CLOUDFLARE[4])),
        (("turn:a.example",), ("turn:a.example",)),
        (("stun:a.example", "turn:a.example:53"), ()),
    ],
)
def test_a_browser_gets_one_url_by_udp_and_one_by_tls(
    urls: tuple[str, ...], usable: tuple[str, ...]
) -> None:
    assert turn_sources.browser_urls(urls) == usable


def test_the_agent_goes_by_udp_first_and_never_by_dtls() -> None:
    assert [turn.transport for turn in ways(KVS, "", "", udp=True)] == ["udp", "tls"]
    assert [turn.transport for turn in ways(KVS, "", "", udp=False)] == ["tls"]
    kinds = [turn.transport for turn in ways(CLOUDFLARE, "", "", udp=True)]
    assert kinds == ["udp", "tls", "tcp", "udp", "tls"]


def test_a_url_of_stun_spoils_no_others() -> None:
    twilio = (
        "stun:global.stun.twilio.com:3478?transport=udp",
        "turn:global.turn.twilio.com:3478?transport=udp",
    )
    assert [turn.host for turn in ways(twilio, "", "", udp=True)] == ["global.turn.twilio.com"]


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, []),
        ({"ICE_SERVER_URLS": "turn:a"}, ["static"]),
        ({"TURN_SOURCE": "none", "ICE_SERVER_URLS": "turn:a"}, []),
        ({"TURN_SOURCE": "static, kvs"}, ["static", "kvs"]),
        ({"TURN_CHANNEL_PREFIX": "a-", "TURN_CHANNEL_COUNT": "1"}, ["kvs"]),
    ],
)
def test_the_sources_are_those_that_are_named_or_set(
    environment: dict[str, str], names: list[str]
) -> None:
    assert [source.name for source in turn_sources.configured(environment)] == names


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(turn_sources.NoTurn, match="'pigeon'; there are kvs"):
        turn_sources.configured({"TURN_SOURCE": "pigeon"})


@pytest.mark.parametrize(
    ("name", "environment", "reason"),
    [
        ("static", {}, "static needs ICE_SERVER_URLS"),
        ("static", {"ICE_SERVER_URLS": "http://a"}, "'http://a' is no URL"),
        ("static", {"ICE_SERVER_URLS": "turn:"}, "'turn:' is no URL"),
        ("static", {"ICE_SERVER_URLS": "stun:a"}, "names no turn: or turns: server"),
        ("coturn", {"COTURN_URLS": "turn:a"}, "coturn needs COTURN_SECRET"),
        ("kvs", {"TURN_CHANNEL_PREFIX": "a", "TURN_CHANNEL_COUNT": "x"}, "as expected"),
    ],
)
def test_a_source_says_why_it_gives_nothing(
    name: str, environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(turn_sources.NoTurn, match=reason):
        asyncio.run(turn_sources.SOURCES[name].servers(environment))


def test_credentials_of_coturn_are_made_for_five_minutes() -> None:
    environment = {"COTURN_URLS": "turn:a.example", "COTURN_SECRET": "secret"}
    [server] = asyncio.run(turn_sources.SOURCES["coturn"].servers(environment))
    left = int(server.username.partition(":")[0]) - time.time()
    assert 290 < left <= 300
    mac = hmac.new(b"secret", server.username.encode(), hashlib.sha1).digest()
    assert server.credential == base64.b64encode(mac).decode()


class Transport:
    """One to a TURN server."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Protocol:
    """Of a relay that is no one's."""

    def __init__(self) -> None:
        self.transport = Transport()


def test_the_first_way_that_leads_anywhere_is_taken() -> None:
    made: list[Protocol] = []

    async def broken() -> Any:
        raise NoRelay(["broken"])

    async def endless() -> Any:
        await asyncio.Event().wait()

    async def good() -> Any:
        made.append(Protocol())
        return "an address", made[-1]

    _, taken = asyncio.run(first_of([endless, broken, good, good], head_start=0.01))
    assert len(made) == 2
    assert [protocol.transport.closed for protocol in made] == [p is not taken for p in made]
    with pytest.raises(NoRelay, match="broken; broken"):
        asyncio.run(first_of([broken, broken], head_start=0.01))

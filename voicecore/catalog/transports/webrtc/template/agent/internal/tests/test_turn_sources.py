"""TURN credentials come from the configured sources, and only usable URLs are used."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from ..relay_failure import RelayFailure
from ..turn import sources
from ..turn.source import NoTurnCredentials
from ..turn_relay import first_relay, turn_routes

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
def test_browser_gets_one_url_over_udp_and_one_over_tls(
    urls: tuple[str, ...], usable: tuple[str, ...]
) -> None:
    assert sources.browser_urls(urls) == usable


def test_agent_prefers_udp_and_never_uses_dtls() -> None:
    assert [route.transport for route in turn_routes(KVS, "", "", udp=True)] == ["udp", "tls"]
    assert [route.transport for route in turn_routes(KVS, "", "", udp=False)] == ["tls"]
    transports = [route.transport for route in turn_routes(CLOUDFLARE, "", "", udp=True)]
    assert transports == ["udp", "tls", "tcp", "udp", "tls"]


def test_stun_url_is_ignored() -> None:
    twilio = (
        "stun:global.stun.twilio.com:3478?transport=udp",
        "turn:global.turn.twilio.com:3478?transport=udp",
    )
    assert [route.host for route in turn_routes(twilio, "", "", udp=True)] == [
        "global.turn.twilio.com"
    ]


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
def test_sources_are_the_named_or_configured_ones(
    environment: dict[str, str], names: list[str]
) -> None:
    assert [source.name for source in sources.configured(environment)] == names


def test_unknown_source_is_reported() -> None:
    with pytest.raises(NoTurnCredentials, match="'pigeon'; known are kvs"):
        sources.configured({"TURN_SOURCE": "pigeon"})


@pytest.mark.parametrize(
    ("name", "environment", "reason"),
    [
        ("static", {}, "static needs ICE_SERVER_URLS"),
        ("static", {"ICE_SERVER_URLS": "http://a"}, "'http://a' is not a URL"),
        ("static", {"ICE_SERVER_URLS": "turn:"}, "'turn:' is not a URL"),
        ("static", {"ICE_SERVER_URLS": "stun:a"}, "has no turn: or turns: URL"),
        ("coturn", {"COTURN_URLS": "turn:a"}, "coturn needs COTURN_SECRET"),
        ("kvs", {"TURN_CHANNEL_PREFIX": "a", "TURN_CHANNEL_COUNT": "x"}, "as expected"),
    ],
)
def test_source_gives_the_reason_of_a_failure(
    name: str, environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(NoTurnCredentials, match=reason):
        asyncio.run(sources.SOURCES[name].servers(environment))


def test_coturn_credentials_are_valid_for_five_minutes() -> None:
    environment = {"COTURN_URLS": "turn:a.example", "COTURN_SECRET": "secret"}
    [server] = asyncio.run(sources.SOURCES["coturn"].servers(environment))
    left = int(server.username.partition(":")[0]) - time.time()
    assert 290 < left <= 300
    mac = hmac.new(b"secret", server.username.encode(), hashlib.sha1).digest()
    assert server.credential == base64.b64encode(mac).decode()


class FakeTransport:
    """The transport of a relay."""

    closed = False

    def close(self) -> None:
        self.closed = True


class FakeProtocol:
    """The protocol of a relay."""

    def __init__(self) -> None:
        self.transport = FakeTransport()


def test_first_relay_is_used_and_others_are_released() -> None:
    made: list[FakeProtocol] = []

    async def broken() -> Any:
        raise RelayFailure(["broken"])

    async def endless() -> Any:
        await asyncio.Event().wait()

    async def good() -> Any:
        made.append(FakeProtocol())
        return "an address", made[-1]

    _, taken = asyncio.run(first_relay([endless, broken, good, good], head_start=0.01))
    assert len(made) == 2
    assert [protocol.transport.closed for protocol in made] == [p is not taken for p in made]
    with pytest.raises(RelayFailure, match="broken; broken"):
        asyncio.run(first_relay([broken, broken], head_start=0.01))

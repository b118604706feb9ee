"""Mistakes in a project's TURN variables are reported before it is deployed."""

from __future__ import annotations

import pytest

from voicecore.catalog.turn_sources import SOURCES, chosen
from voicecore.catalog.turn_sources.variables import mistakes_in, read_url

UDP = "turn:turn.example.com:3478?transport=udp"
TLS = "turns:turn.example.com:443?transport=tcp"


def reported(variables: dict[str, str], in_aws: bool = True, udp: bool = True) -> str:
    return "\n".join(
        f"{'fatal' if m.fatal else 'some'} {m.variable} {m.message}; {m.hint}"
        for m in mistakes_in(variables, in_aws, udp)
    )


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ("http://turn.example.com", "'http://turn.example.com', which is not the URL of a TURN"),
        ("turn:", "'turn:', which is not the URL"),
        ("turn:turn.example.com:99999", "is not the URL"),
        ("turn:turn.example.com:3478?transport=quic", "is not the URL"),
        (f"{UDP} {TLS}", "?transport=udp with commas"),
        ("stun:stun.example.com:3478", "fatal ICE_SERVER_URLS names only STUN servers"),
        ("turns:turn.example.com:443?transport=udp", "only TURN over DTLS"),
        ("turn:turn.example.com:53?transport=udp", "some ICE_SERVER_URLS names only port 53"),
        ("turn:10.0.0.7:3478", "names 10.0.0.7, a private address"),
    ],
)
def test_unusable_servers_are_reported(urls: str, words: str) -> None:
    assert words in reported({"ICE_SERVER_URLS": urls})


def test_stun_alone_is_a_warning_outside_aws() -> None:
    variables = {"ICE_SERVER_URLS": "stun:stun.example.com"}
    assert reported(variables, in_aws=False).startswith("some ICE_SERVER_URLS")


def test_udp_does_not_leave_the_public_network() -> None:
    assert "only TURN over UDP" in reported({"ICE_SERVER_URLS": UDP}, udp=False)
    assert reported({"ICE_SERVER_URLS": f"{UDP}, {TLS}"}, udp=False) == ""
    assert reported({"ICE_SERVER_URLS": UDP}) == ""


def test_all_mistakes_are_reported_at_once_fatal_ones_first() -> None:
    lines = reported({"ICE_SERVER_URLS": "turn:h:53,nonsense", "TURN_SOURCE": "static,stattic"})
    assert [line.split()[0] for line in lines.splitlines()] == ["fatal", "fatal", "some"]
    assert "'stattic', which is not a TURN source; Choose from kvs, cloudflare" in lines


@pytest.mark.parametrize(
    "variables", [{}, {"TURN_SOURCE": "none"}, {"CLOUDFLARE_TURN_KEY_ID": "k"}]
)
def test_agent_in_aws_needs_a_source(variables: dict[str, str]) -> None:
    assert "TURN_SOURCE=kvs" in reported(variables)
    assert reported(variables, in_aws=False) == ""


def test_missing_variables_of_a_named_source_are_reported() -> None:
    lines = reported({"TURN_SOURCE": "twilio", "TWILIO_ACCOUNT_SID": "AC0"})
    assert lines.startswith("fatal TWILIO_AUTH_TOKEN is required by twilio")


def test_chosen_are_the_named_sources_or_those_with_all_variables() -> None:
    secret = {"COTURN_URLS": UDP, "COTURN_SECRET": "s", "ICE_SERVER_URLS": TLS}
    assert [source.name for source in chosen(secret)] == ["coturn", "static"]
    assert [source.name for source in chosen(secret | {"TURN_SOURCE": "static kvs"})] == [
        "static", "kvs",
    ]  # fmt: skip


def test_url_gets_default_port_and_transport() -> None:
    plain, secure = read_url("turn:h"), read_url("turns:h")
    assert plain and (plain.port, plain.transport) == (3478, "udp")
    assert secure and (secure.port, secure.transport) == (5349, "tcp")


def test_sources_are_offered_in_this_order() -> None:
    assert list(SOURCES) == ["kvs", "cloudflare", "twilio", "coturn", "static"]

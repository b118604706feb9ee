"""Mistakes in a project's TURN variables are found before it is deployed."""

from __future__ import annotations

import pytest

from voicecore.catalog.turn_sources import SOURCES, chosen, mistakes_in, read_url

UDP = "turn:turn.example.com:3478?transport=udp"
TLS = "turns:turn.example.com:443?transport=tcp"


def report(variables: dict[str, str], in_aws: bool = True, udp: bool = True) -> str:
    return "\n".join(
        f"{'fatal' if m.fatal else 'some'} {m.variable}: {m.message}; {m.hint}"
        for m in mistakes_in(variables, in_aws, udp)
    )


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ("http://turn.example.com", "'http://turn.example.com' is no address of a TURN server"),
        ("turn:", "'turn:' is no address"),
        ("turn:turn.example.com:99999", "is no address"),
        ("turn:turn.example.com:3478?transport=quic", "is no address"),
        (f"{UDP} {TLS}", "a comma between two"),
        ("stun:stun.example.com:3478", "fatal ICE_SERVER_URLS: names STUN servers only"),
        ("turns:turn.example.com:443?transport=udp", "TURN by DTLS only"),
        ("turn:turn.example.com:53?transport=udp", "some ICE_SERVER_URLS: names port 53 only"),
        ("turn:10.0.0.7:3478", "10.0.0.7 is an address in a private network"),
    ],
)
def test_reports_server_list_that_cannot_work(urls: str, words: str) -> None:
    assert words in report({"ICE_SERVER_URLS": urls})


def test_stun_alone_is_a_warning_outside_aws() -> None:
    variables = {"ICE_SERVER_URLS": "stun:stun.example.com"}
    assert report(variables, in_aws=False).startswith("some ICE_SERVER_URLS")


def test_public_network_needs_turn_over_tls() -> None:
    assert "by UDP only" in report({"ICE_SERVER_URLS": UDP}, udp=False)
    assert report({"ICE_SERVER_URLS": f"{UDP}, {TLS}"}, udp=False) == ""
    assert report({"ICE_SERVER_URLS": UDP}) == ""


def test_reports_all_mistakes_fatal_ones_first() -> None:
    lines = report({"ICE_SERVER_URLS": "turn:h:53,nonsense", "TURN_SOURCE": "static,stattic"})
    assert [line.split()[0] for line in lines.splitlines()] == ["fatal", "fatal", "some"]
    assert "'stattic' is no TURN source; Choose of kvs, cloudflare" in lines


@pytest.mark.parametrize(
    "variables", [{}, {"TURN_SOURCE": "none"}, {"CLOUDFLARE_TURN_KEY_ID": "k"}]
)
def test_agent_in_aws_needs_a_source(variables: dict[str, str]) -> None:
    assert "TURN_SOURCE=kvs" in report(variables)
    assert report(variables, in_aws=False) == ""


def test_reports_missing_variable_of_named_source() -> None:
    lines = report({"TURN_SOURCE": "twilio", "TWILIO_ACCOUNT_SID": "AC0"})
    assert lines.startswith("fatal TWILIO_AUTH_TOKEN: twilio needs it")


def test_chooses_named_sources_or_those_with_all_variables() -> None:
    secret = {"COTURN_URLS": UDP, "COTURN_SECRET": "s", "ICE_SERVER_URLS": TLS}
    assert [source.name for source in chosen(secret)] == ["coturn", "static"]
    assert [source.name for source in chosen(secret | {"TURN_SOURCE": "static kvs"})] == [
        "static", "kvs",
    ]  # fmt: skip


def test_turn_url_has_default_port_and_transport() -> None:
    plain, secure = read_url("turn:h"), read_url("turns:h")
    assert plain and (plain.port, plain.transport) == (3478, "udp")
    assert secure and (secure.port, secure.transport) == (5349, "tcp")


def test_sources_in_order_of_preference() -> None:
    assert list(SOURCES) == ["kvs", "cloudflare", "twilio", "coturn", "static"]

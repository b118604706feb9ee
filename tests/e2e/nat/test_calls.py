"""Calls from behind each type of NAT to an agent behind AWS's: all sound arrives, both ways.

If a call cannot connect, the caller gets the reason at once.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.standins.nat.calls import Calls
from tests.standins.nat.lab import NatLab
from tests.standins.nat.turn_providers import TurnProviders

SECONDS = 1.0
TRIES = 3
UDP = "turn:turn.cloudflare.com:3478?transport=udp"
AT_ONCE = 30  # seconds; without us, Pipecat gives up after 60


def assert_good(net: NatLab, phone: Calls) -> None:
    """Check that all sound arrives at both ends of a call."""
    call = None
    # A busy machine may stall one call; a fault of ours appears in every call.
    for _ in range(TRIES):
        call = phone.call(SECONDS)
        assert call.only("path")["remote"].startswith(f"relay {net.turn.address}:")
        if call.agent.is_whole(SECONDS, 1) and call.caller.is_whole(SECONDS, 1):
            return
    pytest.fail(f"Every call lost sound; the last was {call}")


def test_caller_behind_a_home_nat_is_heard(net: NatLab, phone: Calls) -> None:
    assert_good(net, phone)


def test_caller_behind_a_symmetric_nat_is_heard(net: NatLab, phone: Calls) -> None:
    with net.client.nat.symmetric():
        assert_good(net, phone)


def test_call_works_with_udp_blocked_on_both_sides(net: NatLab, phone: Calls) -> None:
    with net.agent.nat.udp_blocked(), net.client.nat.udp_blocked():
        assert_good(net, phone)


def test_call_works_with_a_dead_relay_before_a_good_one(
    net: NatLab, phone: Calls, hosts: TurnProviders
) -> None:
    dead = f"turn:{net.silent_address}:3478?transport=udp"
    with hosts.with_urls(net.agent.nat.address, dead, UDP):
        assert_good(net, phone)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-60, "the credential expired"), (None, "no answer: UDP is blocked, or the server is down")],
)
def test_caller_without_a_relay_gets_the_reason(
    net: NatLab, phone: Calls, hosts: TurnProviders, seconds: float | None, words: str
) -> None:
    dead = f"turn:{net.silent_address}:3478?transport=udp"
    address = net.agent.nat.address
    failure = hosts.with_lifetime(seconds) if seconds else hosts.with_urls(address, dead)
    with failure:
        refused = phone.call().only("refused")
    assert words in refused["message"]
    assert "voicecore turn check" in refused["hint"]
    assert refused["at"] < AT_ONCE


def test_lost_path_is_replaced_within_the_session(net: NatLab, phone: Calls) -> None:
    """UDP is blocked during a call, which continues in the same session over TLS."""
    nat = net.client.nat
    with nat.applied(nat.rules), phone.calling(4.5) as lines:
        events = []
        for event in lines:
            events.append(event)
            if event["event"] == "connected":
                time.sleep(1)
                nat.apply(replace(nat.rules, udp=False))
    call = phone.ended(events)
    assert [event["resumed"] for event in call.all("connected")] == [False, True], events
    assert "nothing came from the agent" in call.only("disconnected")["reason"]

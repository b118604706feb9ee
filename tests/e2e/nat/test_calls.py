"""Calls from behind each kind of NAT to an agent behind AWS's: the sound arrives whole, both ways.

And when it cannot, the caller is told why, at once.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.standins.nat.calls import Calls
from tests.standins.nat.lab import NatLab
from tests.standins.nat.providers import Providers
from voicecore.local.network.namespaces import Nat

SECONDS = 1.0
TRIES = 3
UDP = "turn:turn.cloudflare.com:3478?transport=udp"
AT_ONCE = 5  # seconds; Pipecat on its own gives up after 60


def assert_good(net: NatLab, phone: Calls) -> None:
    """Sound arrives whole at both ends of a call."""
    call = None
    # A busy machine may stall one call; what is our fault is in every one.
    for _ in range(TRIES):
        call = phone.call(SECONDS)
        assert call.only("path")["remote"].startswith(f"relay {net.turn.address}:")
        if call.agent.is_whole(SECONDS, 1) and call.caller.is_whole(SECONDS, 1):
            return
    pytest.fail(f"No call was whole; the last was {call}")


def test_from_behind_a_nat_like_those_at_home(net: NatLab, phone: Calls) -> None:
    assert_good(net, phone)


def test_from_behind_a_symmetric_nat(net: NatLab, phone: Calls) -> None:
    house = net.client.house
    with house.following(replace(house.rules, nat=Nat.SYMMETRIC)):
        assert_good(net, phone)


def test_udp_blocked_on_both_sides(net: NatLab, phone: Calls) -> None:
    with net.agent.house.udp_blocked(), net.client.house.udp_blocked():
        assert_good(net, phone)


def test_a_dead_relay_before_a_good_one(net: NatLab, phone: Calls, hosts: Providers) -> None:
    dead = f"turn:{net.nobody}:3478?transport=udp"
    with hosts.leading(net.agent.house.address, dead, UDP):
        assert_good(net, phone)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-60, "the credential expired"), (None, "no answer: UDP is blocked, or the server is down")],
)
def test_no_relay_and_the_caller_is_told_why(
    net: NatLab, phone: Calls, hosts: Providers, seconds: float | None, words: str
) -> None:
    dead = f"turn:{net.nobody}:3478?transport=udp"
    trouble = hosts.lasting(seconds) if seconds else hosts.leading(net.agent.house.address, dead)
    with trouble:
        refused = phone.call().only("refused")
    assert words in refused["message"]
    assert "voicecore turn check" in refused["hint"]
    assert refused["at"] < AT_ONCE


def test_a_path_that_is_lost_is_replaced(net: NatLab, phone: Calls) -> None:
    """UDP is blocked in the middle of a call, which goes on in the same session, by TLS."""
    house = net.client.house
    with house.following(house.rules), phone.calling(4.5) as lines:
        events = []
        for event in lines:
            events.append(event)
            if event["event"] == "connected":
                time.sleep(1)
                house.follow(replace(house.rules, udp=False))
    call = phone.ended(events)
    assert [event["resumed"] for event in call.all("connected")] == [False, True], events
    assert "nothing came from the agent" in call.only("disconnected")["reason"]

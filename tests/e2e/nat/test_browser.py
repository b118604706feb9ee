"""A call by a real browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.standins.nat.browser import RATE, browse
from tests.standins.nat.calls import Calls
from tests.standins.nat.lab import NatLab
from tests.standins.nat.sound import Heard, heard
from voicecore.local.network.namespaces import Nat


def test_chromium(net: NatLab, phone: Calls, tmp_path: Path) -> None:
    """It is behind a symmetric NAT, and tells its addresses as it finds them."""
    house = net.client.house
    ends: list[Heard] = []
    with house.following(replace(house.rules, nat=Nat.SYMMETRIC)):
        # A busy machine may stall one call; what is our fault is in every one.
        for _ in range(3):
            events, pcm = browse(net, phone.url, tmp_path, seconds=1)
            found = {event["event"]: event for event in events}
            assert "error" not in found, str(events)
            assert found["path"]["remote"] == f"relay {net.turn.address}"
            (urls,) = found["session"]["servers"]
            assert [url.partition(":")[0] for url in urls] == ["turn", "turns"]
            ends = [phone.heard_by_agent(), heard(pcm, RATE)]
            if all(end.is_whole(1, 0.7, about=1.75) for end in ends):
                return
    pytest.fail(f"No call was whole; of the last was heard {ends}")

"""A real browser calls an agent behind a NAT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standins.nat.browser import RATE, browse
from tests.standins.nat.calls import Calls
from tests.standins.nat.lab import NatLab
from tests.standins.nat.tone import ReceivedTone, measure


def test_chromium_behind_a_symmetric_nat_hears_the_agent(
    net: NatLab, phone: Calls, tmp_path: Path
) -> None:
    """It sends its candidates one by one, as it finds them (trickle ICE)."""
    ends: list[ReceivedTone] = []
    with net.client.nat.symmetric():
        # A busy machine may stall one call; a fault of ours appears in every call.
        for _ in range(3):
            events, pcm = browse(net, phone.url, tmp_path, seconds=1)
            found = {event["event"]: event for event in events}
            assert "error" not in found, str(events)
            assert found["path"]["remote"] == f"relay {net.turn.address}"
            (urls,) = found["session"]["servers"]
            assert [url.partition(":")[0] for url in urls] == ["turn", "turns"]
            ends = [phone.heard_by_agent(), measure(pcm, RATE)]
            if all(end.is_whole(1, 0.7, about=1.75) for end in ends):
                return
    pytest.fail(f"Every call lost sound; the last ends received {ends}")

"""A call by a real browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.lab.nat.browser import RATE, browse
from tests.lab.nat.calls import Calls
from tests.lab.nat.lab import NatLab
from tests.lab.nat.sound import SENT_LEVEL, heard
from voicecore.local.namespaces import Nat


def test_chromium(net: NatLab, phone: Calls, tmp_path: Path) -> None:
    """It is behind a symmetric NAT, and tells its addresses as it finds them."""
    house = net.client.house
    with house.following(replace(house.rules, nat=Nat.SYMMETRIC)):
        events, pcm = browse(net, phone.url, tmp_path, seconds=1)
    found = {event["event"]: event for event in events}
    assert "error" not in found, str(events)
    assert found["path"]["remote"] == f"relay {net.turn.address}"
    (urls,) = found["session"]["servers"]
    assert [url.partition(":")[0] for url in urls] == ["turn", "turns"]
    for end in (phone.heard_by_agent(), heard(pcm, RATE)):
        assert abs(end.seconds - 1) < 0.1, end
        assert 0.4 < end.level / SENT_LEVEL < 1.25, end
        assert end.gap_ms <= 60, end

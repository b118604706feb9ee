"""The relays of `talk` are found as the agent finds its own: by the same code, kept twice."""

from pathlib import Path

import pytest

from voicecore.catalog.transports import TRANSPORTS

TALK = Path(__file__).parents[3] / "voicecore" / "talk" / "ice"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("relay_failure", "no_relay"), ("opus_rtp", "packets"), ("turn_relay", "relay")],
)
def test_is_the_agents_own(ours: str, theirs: str) -> None:
    """A generated project imports nothing of voicecore, so each has a copy."""
    text = (TALK / f"{ours}.py").read_text("utf-8")
    text = text.replace("voicecore.talk.ice.relay_failure", "no_relay")
    assert text == (TRANSPORTS["webrtc"].template / "agent" / f"{theirs}.py").read_text("utf-8")

"""The relays of `talk` are found as the agent finds its own: by the same code, kept twice."""

from pathlib import Path

import pytest

from voicecore.scaffold.render import templates

TALK = Path(__file__).parents[3] / "voicecore" / "talk"


@pytest.mark.parametrize("name", ["no_relay.py", "packets.py", "relay.py"])
def test_is_the_agents_own(name: str) -> None:
    """A generated project imports nothing of voicecore, so each has a copy."""
    ours = (TALK / name).read_text("utf-8").replace("voicecore.talk.", "")
    assert ours == (templates() / "webrtc" / "agent" / name).read_text("utf-8")

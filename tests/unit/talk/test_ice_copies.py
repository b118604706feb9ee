"""Generated agents have copies of the modules in talk/ice, which `talk` itself uses."""

from pathlib import Path

import pytest

from tests.generated.projects import Kind, rendered

ICE = Path(__file__).parents[3] / "voicecore" / "talk" / "ice"


@pytest.mark.parametrize("name", ["relay_failure", "opus_rtp", "turn_relay"])
def test_agent_has_a_copy(name: str) -> None:
    files = rendered(Kind("webrtc", "offline"))
    assert files[f"agent/internal/{name}.py"] == (ICE / f"{name}.py").read_bytes()

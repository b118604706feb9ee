"""The runtime clock at other speeds than real time."""

import pytest

from voicecore.local.sessions.clock import Clock


def test_scaled_clock_runs_an_hour_in_a_second() -> None:
    clock = Clock(scale=3600)
    assert clock.real(3600) == 1.0
    before = clock.now()
    assert clock.now() >= before
    with pytest.raises(ValueError, match="above 0"):
        Clock(scale=0)

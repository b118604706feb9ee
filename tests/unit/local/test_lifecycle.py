"""AgentCore's rules for ending a session, case by case."""

import pytest

from voicecore.contract.ping import PingAnswer
from voicecore.local.sessions.lifecycle import (
    EndReason,
    Lifecycle,
    SessionActivity,
    end_reason,
    next_deadline,
    stamp_on_clock,
)

LIFECYCLE = Lifecycle(idle_timeout=900, max_lifetime=28_800)
HEALTHY, BUSY = PingAnswer(False, 1), PingAnswer(True, 1)
BUSY_WITHOUT_STAMP = PingAnswer(True, None)


def activity(
    ping: PingAnswer | None = HEALTHY,
    *,
    changed: float | None = None,
    traffic: float = 0.0,
    requests: int = 0,
    missed: int = 0,
    started: float = 0.0,
) -> SessionActivity:
    return SessionActivity(started, traffic, requests, ping, changed, missed)


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (activity(), 899, None),
        (activity(), 900, EndReason.IDLE),
        (activity(ping=None), 900, EndReason.IDLE),
        (activity(traffic=500), 1399, None),
        (activity(traffic=500), 1400, EndReason.IDLE),
        (activity(requests=1), 28_799, None),
        (activity(requests=1), 28_800, EndReason.MAX_LIFETIME),
        (activity(requests=1, started=100), 28_899, None),
        (activity(requests=1, started=100), 28_900, EndReason.MAX_LIFETIME),
        (activity(BUSY, changed=10), 28_799, None),
        (activity(BUSY, changed=10), 28_800, EndReason.MAX_LIFETIME),
        # busy, but AWS cannot read since when, so it ends the session
        (activity(BUSY_WITHOUT_STAMP), 900, EndReason.IDLE),
        # the idle timer starts when the status changes back to Healthy
        (activity(HEALTHY, changed=3000), 3899, None),
        (activity(HEALTHY, changed=3000), 3900, EndReason.IDLE),
        # a new stamp on each ping: never idle
        (activity(HEALTHY, changed=28_000), 28_001, None),
        (activity(HEALTHY, changed=28_800), 28_800, EndReason.MAX_LIFETIME),
        (activity(missed=2), 10, None),
        (activity(missed=3), 10, EndReason.UNHEALTHY),
        (activity(BUSY, changed=1, missed=3), 10, EndReason.UNHEALTHY),
    ],
)
def test_session_ends_for_the_right_reason(
    of: SessionActivity, now: float, expected: EndReason | None
) -> None:
    assert end_reason(of, LIFECYCLE, now) == expected
    if expected is None:
        assert next_deadline(of, LIFECYCLE, now) > now


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (activity(traffic=100), 200, 1000),
        (activity(requests=1), 200, 1100),  # an answer may arrive now
        (activity(BUSY, changed=0), 28_000, 28_800),
    ],
)
def test_next_deadline(of: SessionActivity, now: float, expected: float) -> None:
    assert next_deadline(of, LIFECYCLE, now) == expected


@pytest.mark.parametrize(
    ("stamp", "wall", "scale", "expected"),
    [
        (None, 1000.0, 1.0, None),
        (1000, 1000.9, 3600.0, 50.0),  # within the current second
        (1000, 1002.5, 1.0, 48.5),
        (1000, 1002.5, 10.0, 35.0),
        (2000, 1000.0, 1.0, 50.0),  # a clock that is ahead
    ],
)
def test_stamp_is_converted_to_the_scaled_clock(
    stamp: int | None, wall: float, scale: float, expected: float | None
) -> None:
    assert stamp_on_clock(stamp, wall, 50.0, scale) == expected


@pytest.mark.parametrize(("idle", "lifetime"), [(59, 900), (900, 899), (900, 28_801)])
def test_lifecycle_outside_the_limits_of_aws_is_refused(idle: float, lifetime: float) -> None:
    with pytest.raises(ValueError, match="AgentCore takes"):
        Lifecycle(idle, lifetime)

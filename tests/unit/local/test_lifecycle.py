"""AgentCore's rules for ending a session, case by case."""

import json

import pytest

from voicecore.local.sessions.lifecycle import (
    EndReason,
    Lifecycle,
    PingAnswer,
    SessionActivity,
    end_reason,
    next_deadline,
    ping_advice,
    read_ping,
    stamp_on_clock,
)

LIFECYCLE = Lifecycle(idle_timeout=900, max_lifetime=28_800)
HEALTHY, BUSY = PingAnswer(False, 1), PingAnswer(True, 1)
BUSY_WITHOUT_STAMP = PingAnswer(True, None)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (200, {"status": "Healthy"}, PingAnswer(False, None)),
        (
            200,
            {"status": "HealthyBusy", "time_of_last_update": 1763812800},
            PingAnswer(True, 1763812800),
        ),
        (200, {"status": "HealthyBusy", "time_of_last_update": "x"}, PingAnswer(True, None, True)),
        (200, {"status": "HealthyBusy", "time_of_last_update": 1.5}, PingAnswer(True, None)),
        (200, {"status": "HealthyBusy", "time_of_last_update": True}, PingAnswer(True, None)),
        (200, {"status": "healthy"}, PingAnswer(False, None, other='{"status": "healthy"}')),
        (200, ["Healthy"], PingAnswer(False, None, other='["Healthy"]')),
        (500, {"status": "Healthy"}, None),
    ],
)
def test_ping_answer_is_parsed_or_ignored(
    status: int, document: object, expected: PingAnswer | None
) -> None:
    assert read_ping(status, json.dumps(document).encode()) == expected


@pytest.mark.parametrize(("body", "said"), [(b"OK", "OK"), (b"", "an empty body")])
def test_undocumented_body_with_status_200_is_healthy_and_warned_of(body: bytes, said: str) -> None:
    ping = read_ping(200, body)
    assert ping and not ping.busy
    advice = ping_advice([ping])
    assert advice and f"answers {said}, which AWS does not document" in advice
    assert "idle timeout" in advice


def activity(
    ping: PingAnswer | None = HEALTHY,
    *,
    changed: float | None = None,
    traffic: float = 0.0,
    requests: int = 0,
    missed: int = 0,
) -> SessionActivity:
    return SessionActivity(0.0, traffic, requests, ping, changed, missed)


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


@pytest.mark.parametrize(
    ("pings", "words"),
    [
        ([], None),
        ([HEALTHY], None),
        ([PingAnswer(False, None)], None),
        ([BUSY], None),
        ([BUSY_WITHOUT_STAMP], "without time_of_last_update"),
        ([PingAnswer(True, None, stamp_is_text=True)], "as text"),
        ([PingAnswer(False, stamp) for stamp in (1, 3, 5, 7)], "maxVms"),
        ([PingAnswer(False, stamp) for stamp in (1, 3, 5, 5)], None),
        ([PingAnswer(stamp % 2 == 0, stamp) for stamp in (1, 2, 3, 4)], None),
        ([PingAnswer(True, stamp) for stamp in (3, 5, 7)], None),
    ],
)
def test_advice_names_the_mistake_in_ping(pings: list[PingAnswer], words: str | None) -> None:
    advice = ping_advice(pings)
    assert (advice is None) if words is None else (advice is not None and words in advice)


@pytest.mark.parametrize(("idle", "lifetime"), [(59, 900), (900, 899), (900, 28_801)])
def test_lifecycle_outside_the_limits_of_aws_is_refused(idle: float, lifetime: float) -> None:
    with pytest.raises(ValueError, match="AgentCore takes"):
        Lifecycle(idle, lifetime)

"""The /ping rules of AgentCore, case by case."""

import json

import pytest

from voicecore.local.sessions.lifecycle import (
    EndReason,
    Lifecycle,
    Ping,
    Vitals,
    next_deadline,
    ping_advice,
    read_ping,
    stamp_on_clock,
    verdict,
)

LIFECYCLE = Lifecycle(idle_timeout=900, max_lifetime=28_800)
HEALTHY, BUSY = Ping(False, 1), Ping(True, 1)
BUSY_BARE = Ping(True, None)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (200, {"status": "Healthy"}, Ping(False, None)),
        (200, {"status": "HealthyBusy", "time_of_last_update": 1763812800}, Ping(True, 1763812800)),
        (200, {"status": "HealthyBusy", "time_of_last_update": "x"}, Ping(True, None, True)),
        (200, {"status": "HealthyBusy", "time_of_last_update": 1.5}, Ping(True, None)),
        (200, {"status": "HealthyBusy", "time_of_last_update": True}, Ping(True, None)),
        (200, {"status": "healthy"}, None),
        (200, ["Healthy"], None),
        (500, {"status": "Healthy"}, None),
    ],
)
def test_answers_to_ping(status: int, document: object, expected: Ping | None) -> None:
    assert read_ping(status, json.dumps(document).encode()) == expected


def test_an_answer_that_is_no_json() -> None:
    assert read_ping(200, b"OK") is None


def vitals(
    ping: Ping | None = HEALTHY,
    *,
    stamped: float | None = None,
    traffic: float = 0.0,
    requests: int = 0,
    missed: int = 0,
) -> Vitals:
    return Vitals(0.0, traffic, requests, ping, stamped, missed)


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (vitals(), 899, None),
        (vitals(), 900, EndReason.IDLE),
        (vitals(ping=None), 900, EndReason.IDLE),
        (vitals(traffic=500), 1399, None),
        (vitals(traffic=500), 1400, EndReason.IDLE),
        (vitals(requests=1), 28_799, None),
        (vitals(requests=1), 28_800, EndReason.MAX_LIFETIME),
        (vitals(BUSY, stamped=10), 28_799, None),
        (vitals(BUSY, stamped=10), 28_800, EndReason.MAX_LIFETIME),
        # busy, but AWS cannot read since when: reaped
        (vitals(BUSY_BARE), 900, EndReason.IDLE),
        # the idle timer starts when the status went back to Healthy
        (vitals(HEALTHY, stamped=3000), 3899, None),
        (vitals(HEALTHY, stamped=3000), 3900, EndReason.IDLE),
        # stamped now on each ping: never idle
        (vitals(HEALTHY, stamped=28_000), 28_001, None),
        (vitals(HEALTHY, stamped=28_800), 28_800, EndReason.MAX_LIFETIME),
        (vitals(missed=2), 10, None),
        (vitals(missed=3), 10, EndReason.UNHEALTHY),
        (vitals(BUSY, stamped=1, missed=3), 10, EndReason.UNHEALTHY),
    ],
)
def test_verdict(of: Vitals, now: float, expected: EndReason | None) -> None:
    assert verdict(of, LIFECYCLE, now) == expected
    if expected is None:
        assert next_deadline(of, LIFECYCLE, now) > now


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (vitals(traffic=100), 200, 1000),
        (vitals(requests=1), 200, 1100),  # it may be answered now
        (vitals(BUSY, stamped=0), 28_000, 28_800),
    ],
)
def test_when_to_look_again(of: Vitals, now: float, expected: float) -> None:
    assert next_deadline(of, LIFECYCLE, now) == expected


@pytest.mark.parametrize(
    ("stamp", "wall", "scale", "expected"),
    [
        (None, 1000.0, 1.0, None),
        (1000, 1000.9, 3600.0, 50.0),  # this very second
        (1000, 1002.5, 1.0, 48.5),
        (1000, 1002.5, 10.0, 35.0),
        (2000, 1000.0, 1.0, 50.0),  # a clock that is ahead
    ],
)
def test_stamps_on_the_scaled_clock(
    stamp: int | None, wall: float, scale: float, expected: float | None
) -> None:
    assert stamp_on_clock(stamp, wall, 50.0, scale) == expected


@pytest.mark.parametrize(
    ("pings", "words"),
    [
        ([], None),
        ([HEALTHY], None),
        ([Ping(False, None)], None),
        ([BUSY], None),
        ([BUSY_BARE], "without time_of_last_update"),
        ([Ping(True, None, stamp_is_text=True)], "as text"),
        ([Ping(False, stamp) for stamp in (1, 3, 5, 7)], "maxVms"),
        ([Ping(False, stamp) for stamp in (1, 3, 5, 5)], None),
        ([Ping(stamp % 2 == 0, stamp) for stamp in (1, 2, 3, 4)], None),
        ([Ping(True, stamp) for stamp in (3, 5, 7)], None),
    ],
)
def test_advice(pings: list[Ping], words: str | None) -> None:
    advice = ping_advice(pings)
    assert (advice is None) if words is None else (advice is not None and words in advice)


@pytest.mark.parametrize(("idle", "lifetime"), [(59, 900), (900, 899), (900, 28_801)])
def test_lifecycles_that_aws_refuses(idle: float, lifetime: float) -> None:
    with pytest.raises(ValueError, match="AgentCore takes"):
        Lifecycle(idle, lifetime)

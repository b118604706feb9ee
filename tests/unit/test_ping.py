"""What AgentCore reads from answers to /ping."""

import json

import pytest

from voicecore.contract.ping import PingAnswer, ping_advice, read_ping

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

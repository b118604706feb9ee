"""The spans of a call tell its turns, their parts and times."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.standins.aws.services.xray import span_line
from voicecore.contract.trace_spans import TraceSpan, parse_span
from voicecore.contract.traced_calls import TracedCall, TurnFilter, calls_of, wait_of

SESSION = "3f9c2a71-0000-4000-8000-000000000001"


def span(
    name: str, id: str, parent: str, start: float, end: float, error: Any = None, **more: Any
) -> TraceSpan:
    return TraceSpan(id, parent, "t", name, start, end, {"session.id": SESSION, **more}, error)


def call() -> list[TraceSpan]:
    """Return a call of two turns, as it is written: what ends first comes first."""
    latency = {"turn.user_bot_latency_seconds": 1.2}
    return [
        span("speech", "s", "1", 10, 12),
        span("stt", "r", "1", 12, 12.3),
        span("llm", "l", "1", 12.3, 14, **{"metrics.ttfb": 0.2, "gen_ai.usage.input_tokens": 30}),
        span("tts", "v", "1", 12.6, 15, **{"metrics.ttfb": 0.6}),
        span("playback", "p", "1", 13.2, 16),
        span("turn", "1", "c", 10, 16, **{"turn.number": 1, **latency}),
        span("execute_tool look_up", "x", "2", 20, 21, "no network"),
        span("turn", "2", "c", 19, 22, **{"turn.number": 2}),
        span("conversation", "c", "", 9, 23, transport="webrtc", reason="client left"),
    ]


def only(spans: list[TraceSpan]) -> TracedCall:
    (found,) = calls_of(spans)
    return found


def test_call_has_turns_and_their_parts_in_order() -> None:
    found = only(call())
    assert found.session == SESSION
    assert (found.transport, found.reason, found.is_whole) == ("webrtc", "client left", True)
    assert (found.start, found.end, found.tokens, found.error) == (9, 23, (30, 0), "no network")
    first, second = found.turns
    assert [part.name for part in first.parts] == ["speech", "stt", "llm", "tts", "playback"]
    assert (first.number, first.latency, first.error) == (1, 1.2, None)
    assert (second.number, second.latency, second.error) == (2, None, "no network")


def test_slowest_part_is_the_one_that_the_user_waited_longest_for() -> None:
    first, second = only(call()).turns
    assert {part.name: wait_of(part) for part in first.parts} == {
        "speech": 0, "stt": pytest.approx(0.3), "llm": 0.2, "tts": 0.6, "playback": 0,
    }  # fmt: skip
    assert first.slowest and first.slowest.name == "tts"
    assert second.slowest is None  # the only part


def test_call_whose_agent_was_killed_is_not_whole() -> None:
    killed = only([each for each in call() if each.name != "conversation"])
    assert not killed.is_whole
    assert [turn.number for turn in killed.turns] == [1, 2]
    assert killed.others == ()


def test_span_of_the_bots_own_code_belongs_to_the_call_of_its_trace() -> None:
    own = TraceSpan("o", "c", "t", "POST /orders", 20, 20.5, {})
    foreign = TraceSpan("f", "", "another", "GET /", 20, 20.5, {})
    assert only([*call(), own, foreign]).others == (own,)


def test_connections_of_a_session_are_one_call_and_sessions_are_several() -> None:
    again = span("conversation", "c2", "", 30, 40, reason="silence")
    other = TraceSpan("o", "", "t2", "conversation", 5, 6, {"session.id": "another"})
    calls = calls_of([*call(), again, *call(), other])
    assert [found.session for found in calls] == ["another", SESSION]
    assert len(calls[1].connections) == 2 and len(calls[1].turns) == 2
    assert calls[1].reason == "silence"


@pytest.mark.parametrize(
    ("only_these", "numbers"),
    [
        (TurnFilter(), [1, 2]),
        (TurnFilter(number=2), [2]),
        (TurnFilter(slow=1.2), [1]),
        (TurnFilter(slow=1.3), []),
        (TurnFilter(errors=True), [2]),
        (TurnFilter(errors=True, slow=1.0), []),
    ],
)
def test_filter_selects_turns_and_the_calls_that_have_such(
    only_these: TurnFilter, numbers: list[int]
) -> None:
    found = only(call())
    assert [turn.number for turn in found.turns if only_these.passes(turn)] == numbers
    assert only_these.passes_call(found) == bool(numbers)


def test_error_outside_of_turns_is_the_calls() -> None:
    failed = only([span("conversation", "c", "", 1, 2, "refused")])
    assert TurnFilter(errors=True).passes_call(failed)
    assert not TurnFilter(errors=True, slow=1).passes_call(failed)


def test_span_in_cloudwatch_is_read() -> None:
    line = span_line("llm", "b", "a", 100.25, 101.5, "line_dev-1", "", **{"session.id": SESSION})
    found = parse_span(line)
    assert found and (found.name, found.id, found.parent) == ("llm", "b", "a")
    assert (found.start, found.end, found.error, found.session) == (100.25, 101.5, "", SESSION)
    ended = parse_span(span_line("llm", "b", "", 100, 101, "line_dev-1"))
    assert ended and ended.error is None and ended.parent == ""


LOCAL = {
    "name": "turn",
    "context": {"trace_id": "0xaa", "span_id": "0xbb", "trace_state": "[]"},
    "kind": "SpanKind.INTERNAL",
    "parent_id": None,
    "start_time": "2026-11-30T10:00:00.250000Z",
    "end_time": "2026-11-30T10:00:01.500000Z",
    "status": {"status_code": "ERROR", "description": "refused"},
    "attributes": {"session.id": SESSION},
}


def test_local_span_is_read() -> None:
    found = parse_span(json.dumps(LOCAL))
    assert found and (found.id, found.parent, found.trace) == ("0xbb", "", "0xaa")
    assert (found.seconds, found.error, found.session) == (1.25, "refused", SESSION)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(LOCAL)[:-20],
        "[]",
        '"context"',
        json.dumps({**LOCAL, "start_time": None}),
        json.dumps({**LOCAL, "attributes": 7}),
        json.dumps({**LOCAL, "context": 7}),
        json.dumps({"spanId": "a"}),
        span_line("llm", "b", "", 1, 2, "x").replace("1000000000", "1e999"),
    ],
)
def test_line_that_is_no_span_is_left_out(text: str) -> None:
    assert parse_span(text) is None

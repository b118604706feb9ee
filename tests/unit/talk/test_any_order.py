"""Calls in which anything happens in any order: they end, and their figures are possible."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.talk.test_turn_tracker import BLOCK, CLEAR, HEARD, UNHEARD, N
from voicecore.talk.channel import Connected, Delivery, Disconnected
from voicecore.talk.transports import rtvi
from voicecore.talk.turn_tracker import ANSWER_SECONDS, Answer, TurnTracker

ANYTHING: st.SearchStrategy[Delivery | str] = st.sampled_from(
    [
        *("phrase", "word", "click", "sound", "line", "key", "connected", "cut"),
        *(CLEAR, HEARD, UNHEARD, rtvi.UserStarted(), rtvi.UserStopped()),
        *(rtvi.UserTranscription("words", True), rtvi.BotThinking(), rtvi.BotThought()),
        *(rtvi.SpeechStarted(), rtvi.SpeechStopped(), rtvi.BotStarted(), rtvi.BotStopped()),
        *(rtvi.BotInterrupted(), rtvi.ToolStarted("t"), rtvi.ToolStopped("t")),
    ]
)


def happen(tracker: TurnTracker, what: Delivery | str, at: float) -> float:
    """Let it happen from `at` on; return when it is over."""
    match what:
        case "phrase" | "word" | "click":
            blocks = {"phrase": 25, "word": 6, "click": 2}[what]
            for n in range(blocks):
                tracker.voiced(at + BLOCK * (n + 1))
            return at + BLOCK * blocks
        case "sound":
            tracker.sounded(at, at)
        case "line":
            tracker.typed(at)
        case "key":
            tracker.pressed(at)
        case "cut":
            tracker.receive(Disconnected("gone", planned=False), at)
        case str():
            tracker.receive(Connected(resumed=True), at)
        case rtvi.Sound():
            tracker.outcome_told(what == HEARD, at)
        case _:
            tracker.receive(what, at)
    return at


PAUSES = st.sampled_from([0.0, 0.02, 0.1, 0.4, 1.0, 5.0])


@settings(max_examples=5 * N, deadline=None)
@given(st.booleans(), st.lists(st.tuples(PAUSES, ANYTHING), max_size=30))
def test_any_order_of_events_has_an_end_and_possible_figures(
    reports: bool, events: list[tuple[float, Delivery | str]]
) -> None:
    tracker, at = TurnTracker(reports), 0.0
    tracker.receive(Connected(resumed=False), at)
    said, answers = 0, list[Answer]()
    for pause, what in events:
        tracker.tick(at, playing=False)
        at = happen(tracker, what, at + pause)
        said += what in ("phrase", "word", "click", "line", "key")
        answer = tracker.take_answer()
        answers += [answer] if answer else []
    assert len(answers) <= said
    assert all(answer.began >= answer.said_until for answer in answers)
    at += 900 + ANSWER_SECONDS
    tracker.tick(at, playing=False)
    assert tracker.stalled(at) or (tracker.answered and tracker.settled(at))

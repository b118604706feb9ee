"""The state of a conversation, event by event."""

from typing import Any

import pytest

from tests.standins.talk.session_server import tone
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import Connected, Disconnected, News
from voicecore.talk.view.transcript import Dialogue, Line

SOUND = pipecat_frames.Audio(tone(40), 24_000)
SILENCE = pipecat_frames.Audio(bytes(1920), 24_000)
AGENT = rtvi.Latency(1, 400, (rtvi.Stage("endpointing_wait", "wait", 300),))


class Told:
    """A dialogue, told what happens at which second; and what it reported."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.dialogue = Dialogue(self.reports.append)
        self.at = 0.0
        self(0, Connected(resumed=False))

    def __call__(self, at: float, *news: News) -> Dialogue:
        self.at = at
        for item in news:
            self.dialogue.receive(item, at)
        return self.dialogue

    def reported(self, event: str) -> list[dict[str, Any]]:
        return [report for report in self.reports if report["event"] == event]


def user_turn(told: Told, text: str, ends: float) -> None:
    told(ends - 1, rtvi.UserStarted())
    told.dialogue.voiced(ends)
    told(ends + 0.4, rtvi.UserSaid(text, True), rtvi.UserStopped())


def answer(told: Told, text: str, begins: float) -> None:
    told(begins - 0.1, rtvi.BotThinking())
    told(begins, rtvi.BotStarted(), SOUND, rtvi.BotSays(text, 1))


def test_a_turn_is_timed_from_the_users_last_sound_to_the_agents_first() -> None:
    told = Told()
    user_turn(told, "What time is it?", ends=10)
    told(10.8, SILENCE)
    answer(told, "Noon.", begins=11)
    told(11.01, AGENT)
    told(11.04, SOUND)
    [turn] = told.dialogue.turns
    assert turn.total_ms == pytest.approx(1000)
    assert turn.agent == AGENT
    [report] = told.reported("latency")
    assert [s["key"] for s in report["stages"]] == ["VAD", "agent", "transport"]
    assert sum(s["ms"] for s in report["stages"]) == pytest.approx(report["total_ms"])


def test_the_agents_figures_may_come_before_its_sound() -> None:
    told = Told()
    user_turn(told, "Hi", ends=10)
    told(10.9, rtvi.BotStarted(), AGENT)
    told(11, SOUND)
    assert told.dialogue.turns[0].agent == AGENT


def test_noise_and_a_greeting_are_no_turn() -> None:
    told = Told()
    told.dialogue.voiced(1.0)
    answer(told, "Hello!", begins=1.5)
    assert told.dialogue.turns == []


def test_the_transcript_is_in_the_order_of_speaking() -> None:
    told = Told()
    answer(told, "Hello!", begins=1)
    told(2, rtvi.BotStopped())
    user_turn(told, "What time is it?", ends=4)
    answer(told, "Noon.", begins=5)
    told(6, rtvi.BotStopped())
    told.dialogue.end()
    assert told.dialogue.lines == [
        Line("agent", "Hello!"),
        Line("you", "What time is it?"),
        Line("agent", "Noon.", turn=1),
    ]
    assert [r["text"] for r in told.reports if "text" in r] == [
        "Hello!", "What time is it?", "Noon."
    ]  # fmt: skip


def test_what_is_under_way_is_live() -> None:
    told = Told()
    told(1, rtvi.UserStarted(), rtvi.UserSaid("What ti", False))
    assert told.dialogue.live == [Line("you", "What ti")]
    told(2, rtvi.UserSaid("What time", True), rtvi.UserSaid("is it", False))
    assert told.dialogue.live == [Line("you", "What time is it")]


def test_words_that_are_understood_late_stand_before_the_answer() -> None:
    told = Told()
    told(1, rtvi.UserStarted())
    told.dialogue.voiced(2)
    told(2.2, rtvi.UserStopped())
    answer(told, "Noon.", begins=2.5)
    told(2.7, rtvi.UserSaid("What time is it?", True))
    told.dialogue.end()
    assert [line.text for line in told.dialogue.lines] == ["What time is it?", "Noon."]


def test_barging_in_keeps_of_the_answer_what_was_heard() -> None:
    told = Told()
    told(1, rtvi.BotStarted(), SOUND)
    told(1.5, rtvi.BotSays("It is noon and the sun shines.", 1, "It is noon"))
    told(2, rtvi.UserStarted())
    told.dialogue.voiced(2.5)
    told(2.1, rtvi.BotStopped())
    told(3, rtvi.UserSaid("Stop!", True), rtvi.UserStopped())
    assert told.dialogue.lines == [
        Line("agent", "It is noon", interrupted=True),
        Line("you", "Stop!"),
    ]


def test_without_word_times_the_sentence_under_way_stands_whole() -> None:
    told = Told()
    told(1, rtvi.BotStarted(), SOUND)
    told(1, rtvi.BotSays("It is noon.", 1, "It is noon."), rtvi.BotSays("The sun shines.", 2, ""))
    told(1, rtvi.BotSays("Goodbye.", 3, ""))
    told(2, rtvi.UserStarted())
    told(3, rtvi.UserSaid("Stop.", True), rtvi.UserStopped())
    assert told.dialogue.lines == [
        Line("agent", "It is noon. The sun shines.", interrupted=True),
        Line("you", "Stop."),
    ]


def test_an_answer_right_after_an_interruption_is_timed() -> None:
    told = Told()
    told(1, rtvi.BotStarted(), SOUND)
    told(1.1, rtvi.UserStarted())
    told.dialogue.voiced(1.15)
    told(1.2, rtvi.UserStopped(), rtvi.BotThinking())
    told(1.3, rtvi.BotStarted(), SOUND)
    assert told.dialogue.turns[0].total_ms == pytest.approx(150)


def test_a_pause_of_the_agent_is_no_new_turn() -> None:
    told = Told()
    user_turn(told, "Hi", ends=1)
    answer(told, "One.", begins=2)
    told(3, SOUND)
    assert len(told.dialogue.turns) == 1


def test_after_a_cut_nothing_is_doubled() -> None:
    told = Told()
    told(1, rtvi.UserStarted(), rtvi.UserSaid("What", True))
    told(2, Disconnected("gone", planned=False))
    told(2.5, Connected(resumed=True))
    user_turn(told, "What time is it?", ends=3)
    answer(told, "It is noon.", begins=4)
    told(4.5, Disconnected("gone again", planned=False))
    told(5, Connected(resumed=True))
    answer(told, "It is noon.", begins=6)
    told(7, rtvi.BotStopped())
    told.dialogue.end()
    assert [(line.who, line.text) for line in told.dialogue.lines] == [
        ("you", "What time is it?"),
        ("agent", "It is noon."),
    ]


def test_an_answer_that_is_not_said_again_is_not_lost() -> None:
    told = Told()
    answer(told, "It is", begins=1)
    told(2, Disconnected("gone", planned=False), Connected(resumed=True))
    user_turn(told, "Pardon?", ends=4)
    assert told.dialogue.lines == [
        Line("agent", "It is", interrupted=True),
        Line("you", "Pardon?"),
    ]


def test_it_is_settled_when_nobody_has_anything_left() -> None:
    told = Told()
    assert told.dialogue.settled(1)
    user_turn(told, "Hi", ends=2)
    told(3, rtvi.BotThinking())
    assert not told.dialogue.settled(30)
    assert not told.dialogue.answered
    told(31, rtvi.BotStarted(), SOUND)
    assert told.dialogue.answered
    told(32, rtvi.BotStopped())
    assert not told.dialogue.settled(32.5)
    assert told.dialogue.settled(33)


def test_typing_is_a_turn_too() -> None:
    told = Told()
    told.dialogue.typed("What time is it?", 1)
    answer(told, "Noon.", begins=1.5)
    assert told.dialogue.turns[0].total_ms == pytest.approx(500)
    assert told.dialogue.lines == [Line("you", "What time is it?")]


def test_tools_and_errors_are_noted() -> None:
    told = Told()
    told(1, rtvi.ToolCall("opening_hours", 3.4), rtvi.AgentError("no more credit", fatal=True))
    assert [line.text for line in told.dialogue.lines] == [
        "opening_hours took 3 ms",
        "no more credit",
    ]
    assert told.reported("error") == [
        {"event": "error", "message": "no more credit", "fatal": True}
    ]

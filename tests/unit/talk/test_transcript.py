"""The transcript of a call, delivery by delivery."""

from typing import TypeVar

import pytest

from tests.standins.talk.session_server import tone
from voicecore.talk.channel import Connected, Delivery, Disconnected
from voicecore.talk.events import AgentSaid, CallEvent, TurnMeasured, UserSaid
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.view.transcript import CallTranscript, Utterance

T = TypeVar("T")

SOUND = pipecat_frames.Audio(tone(40), 24_000)
SILENCE = pipecat_frames.Audio(bytes(1920), 24_000)
AGENT = rtvi.AgentLatency(1, 400, (rtvi.AgentStage("endpointing_wait", "wait", 300),))


class Call:
    """A transcript, and the events that it reported."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.transcript = CallTranscript(self.events.append)
        self.deliver(0, Connected(resumed=False))

    def deliver(self, at: float, *deliveries: Delivery) -> None:
        for delivery in deliveries:
            self.transcript.receive(delivery, at)

    def reported(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


def user_turn(call: Call, text: str, ends: float) -> None:
    call.deliver(ends - 1, rtvi.UserStarted())
    call.transcript.voiced(ends)
    call.deliver(ends + 0.4, rtvi.UserTranscription(text, True), rtvi.UserStopped())


def answer(call: Call, text: str, begins: float) -> None:
    call.deliver(begins - 0.1, rtvi.BotThinking())
    call.deliver(begins, rtvi.BotStarted(), SOUND, rtvi.BotOutput(text, 1))


def test_turn_is_measured_from_the_users_last_sound_to_the_agents_first() -> None:
    call = Call()
    user_turn(call, "What time is it?", ends=10)
    call.deliver(10.8, SILENCE)
    answer(call, "Noon.", begins=11)
    call.deliver(11.01, AGENT)
    call.deliver(11.04, SOUND)
    [turn] = call.transcript.turns
    assert turn.total_ms == pytest.approx(1000)
    assert turn.agent == AGENT
    [measured] = call.reported(TurnMeasured)
    assert [part.name for part in measured.turn.parts] == ["VAD", "agent", "transport"]
    assert sum(part.ms for part in measured.turn.parts) == pytest.approx(measured.turn.total_ms)


def test_agent_latency_may_arrive_before_its_audio() -> None:
    call = Call()
    user_turn(call, "Hi", ends=10)
    call.deliver(10.9, rtvi.BotStarted(), AGENT)
    call.deliver(11, SOUND)
    assert call.transcript.turns[0].agent == AGENT


def test_noise_and_greeting_are_not_a_turn() -> None:
    call = Call()
    call.transcript.voiced(1.0)
    answer(call, "Hello!", begins=1.5)
    assert call.transcript.turns == []


def test_noise_after_a_turn_without_speech_is_not_a_turn() -> None:
    call = Call()
    call.deliver(1, rtvi.UserStarted(), rtvi.UserStopped())  # only the agent heard something
    call.transcript.voiced(2)  # only this client heard something
    answer(call, "Hello!", begins=3)
    assert call.transcript.turns == []


def test_first_agent_latency_of_a_turn_counts() -> None:
    call = Call()
    call.deliver(1, AGENT)  # of a turn before this client joined
    user_turn(call, "Hi", ends=10)
    answer(call, "Hello!", begins=11)
    call.deliver(11.1, AGENT, rtvi.AgentLatency(2, 900, ()))
    assert [turn.agent for turn in call.transcript.turns] == [AGENT]
    assert len(call.reported(TurnMeasured)) == 1


def test_utterances_are_in_the_order_of_speaking() -> None:
    call = Call()
    answer(call, "Hello!", begins=1)
    call.deliver(2, rtvi.BotStopped())
    user_turn(call, "What time is it?", ends=4)
    answer(call, "Noon.", begins=5)
    call.deliver(6, rtvi.BotStopped())
    call.transcript.end()
    assert call.transcript.utterances == [
        Utterance("agent", "Hello!"),
        Utterance("you", "What time is it?"),
        Utterance("agent", "Noon.", turn=1),
    ]
    said = [event.text for event in call.events if isinstance(event, AgentSaid | UserSaid)]
    assert said == ["Hello!", "What time is it?", "Noon."]


def test_unfinished_utterance_is_live() -> None:
    call = Call()
    call.deliver(1, rtvi.UserStarted(), rtvi.UserTranscription("What ti", False))
    assert call.transcript.live == [Utterance("you", "What ti")]
    call.deliver(
        2, rtvi.UserTranscription("What time", True), rtvi.UserTranscription("is it", False)
    )
    assert call.transcript.live == [Utterance("you", "What time is it")]


def test_late_transcription_is_placed_before_the_answer() -> None:
    call = Call()
    call.deliver(1, rtvi.UserStarted())
    call.transcript.voiced(2)
    call.deliver(2.2, rtvi.UserStopped())
    answer(call, "Noon.", begins=2.5)
    call.deliver(2.7, rtvi.UserTranscription("What time is it?", True))
    call.transcript.end()
    assert [said.text for said in call.transcript.utterances] == ["What time is it?", "Noon."]


def test_interruption_keeps_the_part_of_the_answer_that_was_played() -> None:
    call = Call()
    call.deliver(1, rtvi.BotStarted(), SOUND)
    call.deliver(1.5, rtvi.BotOutput("It is noon and the sun shines.", 1, "It is noon"))
    call.deliver(2, rtvi.UserStarted())
    call.transcript.voiced(2.5)
    call.deliver(2.1, rtvi.BotStopped())
    call.deliver(3, rtvi.UserTranscription("Stop!", True), rtvi.UserStopped())
    assert call.transcript.utterances == [
        Utterance("agent", "It is noon", interrupted=True),
        Utterance("you", "Stop!"),
    ]


def test_interrupted_sentence_without_word_times_is_kept_whole() -> None:
    call = Call()
    call.deliver(1, rtvi.BotStarted(), SOUND)
    call.deliver(
        1, rtvi.BotOutput("It is noon.", 1, "It is noon."), rtvi.BotOutput("The sun shines.", 2, "")
    )
    call.deliver(1, rtvi.BotOutput("Goodbye.", 3, ""))
    call.deliver(2, rtvi.UserStarted())
    call.deliver(3, rtvi.UserTranscription("Stop.", True), rtvi.UserStopped())
    assert call.transcript.utterances == [
        Utterance("agent", "It is noon. The sun shines.", interrupted=True),
        Utterance("you", "Stop."),
    ]


def test_answer_right_after_an_interruption_is_measured() -> None:
    call = Call()
    call.deliver(1, rtvi.BotStarted(), SOUND)
    call.deliver(1.1, rtvi.UserStarted())
    call.transcript.voiced(1.15)
    call.deliver(1.2, rtvi.UserStopped(), rtvi.BotThinking())
    call.deliver(1.3, rtvi.BotStarted(), SOUND)
    assert call.transcript.turns[0].total_ms == pytest.approx(150)


def test_pause_of_the_agent_does_not_begin_a_turn() -> None:
    call = Call()
    user_turn(call, "Hi", ends=1)
    answer(call, "One.", begins=2)
    call.deliver(3, SOUND)
    assert len(call.transcript.turns) == 1


def test_reconnect_duplicates_nothing() -> None:
    call = Call()
    call.deliver(1, rtvi.UserStarted(), rtvi.UserTranscription("What", True))
    call.deliver(2, Disconnected("gone", planned=False))
    call.deliver(2.5, Connected(resumed=True))
    user_turn(call, "What time is it?", ends=3)
    answer(call, "It is noon.", begins=4)
    call.deliver(4.5, Disconnected("gone again", planned=False))
    call.deliver(5, Connected(resumed=True))
    answer(call, "It is noon.", begins=6)
    call.deliver(7, rtvi.BotStopped())
    call.transcript.end()
    assert call.transcript.utterances == [
        Utterance("you", "What time is it?"),
        Utterance("agent", "It is noon.", turn=1),
    ]


def test_reconnect_keeps_an_answer_that_is_not_repeated() -> None:
    call = Call()
    answer(call, "It is", begins=1)
    call.deliver(2, Disconnected("gone", planned=False), Connected(resumed=True))
    user_turn(call, "Pardon?", ends=4)
    assert call.transcript.utterances == [
        Utterance("agent", "It is", interrupted=True),
        Utterance("you", "Pardon?"),
    ]


def test_lost_connection_interrupts_an_answer_that_was_not_heard_yet() -> None:
    call = Call()
    call.deliver(1, rtvi.BotThinking(), rtvi.BotOutput("It is", 1))
    call.deliver(2, Disconnected("gone", planned=False), Connected(resumed=True))
    user_turn(call, "Pardon?", ends=4)
    assert call.transcript.utterances[0] == Utterance("agent", "It is", interrupted=True)


def test_lost_connection_does_not_interrupt_an_answer_that_had_ended() -> None:
    call = Call()
    answer(call, "It is noon.", begins=1)
    call.deliver(2, rtvi.BotStopped(), Disconnected("gone", planned=False))
    call.deliver(3, Connected(resumed=True))
    user_turn(call, "Thanks", ends=5)
    assert call.transcript.utterances[0] == Utterance("agent", "It is noon.")


def test_call_is_settled_when_everything_was_said() -> None:
    call = Call()
    assert call.transcript.tracker.settled(1)
    user_turn(call, "Hi", ends=2)
    call.deliver(3, rtvi.BotThinking())
    assert not call.transcript.tracker.settled(30)
    assert not call.transcript.tracker.answered
    call.deliver(31, rtvi.BotStarted(), SOUND)
    assert call.transcript.tracker.answered
    call.deliver(32, rtvi.BotStopped())
    assert not call.transcript.tracker.settled(32.5)
    assert call.transcript.tracker.settled(33)


def test_typed_line_is_a_turn() -> None:
    call = Call()
    call.transcript.typed("What time is it?", 1)
    answer(call, "Noon.", begins=1.5)
    assert call.transcript.turns[0].total_ms == pytest.approx(500)
    assert call.transcript.utterances == [Utterance("you", "What time is it?")]


def test_tools_and_errors_become_notes() -> None:
    call = Call()
    call.deliver(
        1, rtvi.ToolCall("opening_hours", 3.4), rtvi.AgentError("no more credit", fatal=True)
    )
    assert [said.text for said in call.transcript.utterances] == [
        "opening_hours took 3 ms",
        "no more credit",
    ]
    assert call.reported(rtvi.AgentError) == [rtvi.AgentError("no more credit", fatal=True)]


def test_sound_that_was_not_heard_is_a_note_until_the_next_is_heard() -> None:
    call = Call()
    quiet = rtvi.Sound("too_quiet", "0.4 s of speech were too quiet.")
    call.deliver(1, quiet)
    assert call.transcript.utterances == [Utterance("note", quiet.message)]
    assert call.reported(rtvi.Sound) == [quiet]
    assert call.transcript.not_heard == quiet.message
    call.deliver(2, rtvi.Sound("heard", "heard 1.2 s of speech"))
    assert len(call.transcript.utterances) == 1
    assert call.transcript.not_heard == ""


def test_silence_has_the_reason_that_fits() -> None:
    call = Call()
    call.deliver(0, Connected(resumed=False))
    call.transcript.voiced(0.02)
    assert call.transcript.why_silent == "It did not hear you."
    call.deliver(4, rtvi.Sound("too_quiet", "Too quiet: speak louder."))
    assert call.transcript.why_silent == "Too quiet: speak louder."
    call.transcript.typed("What time is it?", 5)
    call.deliver(6, rtvi.Sound("not_speech", "A click."))
    assert call.transcript.why_silent == "It understood you, but sent no sound."
    call.deliver(7, rtvi.AgentError("no more credit" + "." * 20_000, fatal=False))
    assert call.transcript.why_silent.startswith("Its last error: no more credit..")
    assert len(call.transcript.why_silent) < 600


def test_reason_for_silence_is_not_of_a_sound_before_the_typed_line() -> None:
    call = Call()
    call.deliver(1, rtvi.Sound("not_speech", "2.0 s of sound were not speech."))
    call.transcript.typed("What time is it?", 2)
    assert call.transcript.not_heard == ""


def test_no_blank_follows_full_width_punctuation() -> None:
    call = Call()
    user_turn(call, "你好。", 1)
    call.deliver(
        2,
        rtvi.BotStarted(),
        rtvi.BotOutput("今天很好。", 1, "今天很好。"),
        rtvi.BotOutput("Hello. 再见！", 2, "Hello. 再见！"),
    )
    assert [each.text for each in call.transcript.live] == ["今天很好。Hello. 再见！"]

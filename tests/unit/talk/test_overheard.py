"""What can be told of a conversation by its sound alone."""

from typing import Any

from tests.standins.talk.session_server import tone
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports.connection import Connected, Note
from voicecore.talk.view.phone_transcript import Overheard


def heard() -> tuple[Overheard, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    call = Overheard(events.append)
    call.receive(Connected(resumed=False), 0.0)
    return call, events


def speak(call: Overheard, since: float, until: float) -> None:
    at = since + 0.02
    while at <= until + 0.001:
        call.voiced(at)
        at += 0.02


def sound(ms: int) -> pipecat_frames.Audio:
    return pipecat_frames.Audio(tone(ms, rate=8000), 8000)


def test_a_turn_is_speech_and_the_sound_that_follows() -> None:
    call, events = heard()
    speak(call, 1.0, 2.5)
    assert [line.text for line in call.live] == ["speaks"]
    for n in range(5):
        call.receive(sound(40), 3.1 + 0.04 * n)
    assert [(line.who, line.turn) for line in call.live] == [("agent", 1)]
    call.tick(4.5)
    assert events[1:] == [
        {"event": "user_spoke", "seconds": 1.5},
        {"event": "latency", "turn": 1, "total_ms": 600.0, "agent_ms": None, "stages": []},
        {"event": "agent_spoke", "seconds": 0.2, "interrupted": False, "turn": 1},
    ]
    assert [line.text for line in call.lines] == ["spoke for 1.5 s", "spoke for 0.2 s"]
    assert call.answered and call.settled(4.5)


def test_a_greeting_answers_nothing() -> None:
    call, events = heard()
    call.receive(sound(500), 0.5)
    call.tick(2.0)
    assert events[1:] == [{"event": "agent_spoke", "seconds": 0.5, "interrupted": False}]
    assert call.turns == []


def test_silence_from_the_agent_is_no_sound() -> None:
    call, events = heard()
    call.receive(pipecat_frames.Audio(bytes(640), 8000), 1.0)
    call.tick(3.0)
    assert len(events) == 1 and not call.active


def test_an_agent_that_was_cut_off() -> None:
    call, events = heard()
    call.receive(sound(2000), 1.0)
    speak(call, 1.5, 1.9)
    call.receive(pipecat_frames.Interruption(), 1.7)
    speak(call, 1.9, 2.2)
    call.receive(sound(300), 2.8)
    call.tick(4.0)
    spoke = [event for event in events if event["event"] == "agent_spoke"]
    assert [event["interrupted"] for event in spoke] == [True, False]
    assert spoke[1]["turn"] == 1


def test_an_agent_that_clears_what_is_heard_already_was_not_cut_off() -> None:
    call, events = heard()
    call.receive(sound(300), 1.0)
    call.receive(pipecat_frames.Interruption(), 1.6)
    call.tick(3.0)
    assert events[-1] == {"event": "agent_spoke", "seconds": 0.3, "interrupted": False}


def test_the_end_of_a_call_tells_what_was_under_way() -> None:
    call, events = heard()
    call.receive(sound(300), 1.0)
    call.receive(Note("the call goes on to +12025550199"), 1.1)
    speak(call, 1.5, 2.0)
    call.end()
    assert [event["event"] for event in events[1:]] == ["note", "agent_spoke", "user_spoke"]

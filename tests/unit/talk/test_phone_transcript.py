"""The transcript of a call that carries only audio."""

from tests.standins.talk.session_server import tone
from voicecore.talk.channel import Connected, Note
from voicecore.talk.events import AgentSpoke, CallEvent, UserSpoke
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.view.event_json import event_json
from voicecore.talk.view.phone_transcript import PhoneTranscript


def connected() -> tuple[PhoneTranscript, list[CallEvent]]:
    events: list[CallEvent] = []
    call = PhoneTranscript(events.append)
    call.receive(Connected(resumed=False), 0.0)
    return call, events


def speak(call: PhoneTranscript, since: float, until: float) -> None:
    at = since + 0.02
    while at <= until + 0.001:
        call.voiced(at)
        at += 0.02


def sound(ms: int) -> pipecat_frames.Audio:
    return pipecat_frames.Audio(tone(ms, rate=8000), 8000)


def test_turn_is_speech_and_the_audio_that_follows() -> None:
    call, events = connected()
    speak(call, 1.0, 2.5)
    assert [said.text for said in call.live] == ["speaks"]
    for n in range(5):
        call.receive(sound(40), 3.1 + 0.04 * n)
    assert [(said.speaker, said.turn) for said in call.live] == [("agent", 1)]
    call.tick(4.5)
    assert [event_json(event) for event in events[1:]] == [
        {"event": "user_spoke", "seconds": 1.5},
        {"event": "latency", "turn": 1, "total_ms": 600.0, "agent_ms": None, "stages": []},
        {"event": "agent_spoke", "seconds": 0.2, "interrupted": False, "turn": 1},
    ]
    assert [said.text for said in call.utterances] == ["spoke for 1.5 s", "spoke for 0.2 s"]
    assert call.tracker.answered and call.tracker.settled(4.5)


def test_greeting_is_not_a_turn() -> None:
    call, events = connected()
    call.receive(sound(500), 0.5)
    call.tick(2.0)
    assert events[1:] == [AgentSpoke(0.5, interrupted=False, turn=None)]
    assert call.turns == []


def test_silence_from_the_agent_is_ignored() -> None:
    call, events = connected()
    call.receive(pipecat_frames.Audio(bytes(640), 8000), 1.0)
    call.tick(3.0)
    assert len(events) == 1 and not call.tracker.active


def test_clear_during_audio_interrupts_the_agent() -> None:
    call, events = connected()
    call.receive(sound(2000), 1.0)
    speak(call, 1.5, 1.9)
    call.receive(pipecat_frames.Interruption(), 1.7)
    speak(call, 1.9, 2.2)
    call.receive(sound(300), 2.8)
    call.tick(4.0)
    spoke = [event for event in events if isinstance(event, AgentSpoke)]
    assert [event.interrupted for event in spoke] == [True, False]
    assert spoke[1].turn == 1


def test_clear_after_the_audio_does_not_interrupt_the_agent() -> None:
    call, events = connected()
    call.receive(sound(300), 1.0)
    call.receive(pipecat_frames.Interruption(), 1.6)
    call.tick(3.0)
    assert events[-1] == AgentSpoke(0.3, interrupted=False, turn=None)


def test_end_reports_what_is_unfinished() -> None:
    call, events = connected()
    call.receive(sound(300), 1.0)
    call.receive(Note("the call is transferred to +12025550199"), 1.1)
    speak(call, 1.5, 2.0)
    call.end()
    assert [type(event) for event in events[1:]] == [Note, AgentSpoke, UserSpoke]


def test_pressed_keys_are_shown() -> None:
    call, events = connected()
    for key in "1#":
        call.pressed(key, 1.0)
    assert [event_json(event) for event in events[1:]] == [
        {"event": "key", "key": "1"},
        {"event": "key", "key": "#"},
    ]
    assert [(said.speaker, said.text) for said in call.utterances] == [
        ("you", "pressed 1"),
        ("you", "pressed #"),
    ]

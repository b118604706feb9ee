"""The screen of a call, character by character."""

import pytest

from voicecore.console.output import Line
from voicecore.talk.transports.rtvi import AgentLatency, AgentStage
from voicecore.talk.view.latency import MeasuredTurn, TurnTotals
from voicecore.talk.view.screen import CallView, clock, meter, render, summary
from voicecore.talk.view.transcript import Utterance

STAGES = {
    "endpointing_wait": 200,
    "transcription": 470,
    "turn_detection": 90,
    "llm_inference": 10,
    "speech_synthesis": 280,
}
AGENT = AgentLatency(1, 1050, tuple(AgentStage(key, "", ms) for key, ms in STAGES.items()))
TURN = MeasuredTurn(1, 1070, AGENT)

CALL = CallView(
    title="support-line · local",
    status="connected",
    seconds=63,
    user_levels=[-60, -40, -20, -10, 0],
    agent_levels=[-100] * 40,
    said=[
        Utterance("agent", "Hello, I am the support line. " * 4),
        Utterance("you", "What time is it?"),
        Utterance("agent", "It is noon.", interrupted=True, turn=1),
        Utterance("note", "clock took 3 ms"),
    ],
    turns=[TURN],
    hint="q or Ctrl-C hangs up",
)


def text(lines: list[Line]) -> list[str]:
    return ["".join(span.text for span in line).replace("\xa0", " ") for line in lines]


def test_screen_of_80_columns() -> None:
    assert text(render(CALL, 80, 24)) == [
        "voicecore talk  support-line · local                            connected  01:03",
        "you                ▃▆██                                  agent                  ",
        "",
        "agent    Hello, I am the support line. Hello, I am the support line. Hello, I am",
        "         the support line. Hello, I am the support line.",
        "you      What time is it?",
        "agent    It is noon. (interrupted)",
        "         1.07 s · VAD 0.20 · STT 0.47 · turn 0.09 · LLM 0.01 · TTS 0.28 ·",
        "         transport 0.02",
        "·        clock took 3 ms",
        "",
        "q or Ctrl-C hangs up                       1 turn · median 1.07 s · worst 1.07 s",
    ]


def test_answer_interrupted_before_it_was_heard_is_not_a_blank_line() -> None:
    said = [Utterance("agent", "", interrupted=True)]
    view = CallView("t", "s", 0, [], [], said, [], "")
    assert text(render(view, 80, 24))[3] == "agent    (interrupted)"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 5), (200, 60), (80, 3)])
def test_screen_fits_the_terminal(width: int, height: int) -> None:
    lines = text(render(CALL, width, height))
    body = lines[3:-2]
    assert all(len(line) <= max(width, 29) for line in body)
    assert len(lines) <= max(height, 5)


def test_newest_utterances_stay() -> None:
    many = [Utterance("you", f"line {n}") for n in range(100)]
    view = CallView("t", "s", 0, [], [], many, [], "")
    assert text(render(view, 80, 24))[-3] == "you      line 99"


def test_meter_spans_sixty_to_ten_decibels_below_full_scale() -> None:
    assert meter([-60, -10]) == " " * 15 + "█"
    assert meter([-200, 0, -35]) == " " * 14 + "█▄"


def test_clock_and_summary() -> None:
    assert clock(59.9) == "00:59"
    assert clock(3661) == "1:01:01"
    assert summary(TurnTotals(0, None, None)) == "no turns yet"
    assert summary(TurnTotals(3, 1000, 1500)) == "3 turns · median 1.00 s · worst 1.50 s"

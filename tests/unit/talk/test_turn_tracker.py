"""Whose turn it is, in simulated calls: thousands of orders of what is said, reported and heard."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.talk.channel import Connected, Delivery, Disconnected
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.turn_tracker import ANSWER_SECONDS, Answer, TurnTracker

UNHEARD = rtvi.Sound("not_recognized", "No words were in it.")
HEARD = rtvi.Sound("heard", "heard 1.0 s of speech")

N = 300 if os.environ.get("CI") else 150
BLOCK = 0.02
CLEAR = pipecat_frames.Interruption()


@dataclass(frozen=True)
class Reply:
    """The agent's words for one phrase."""

    thinks: float = 0.5
    sentences: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    """Pause of speech synthesis before each sentence, and length of its sound."""
    tool: float | None = None
    """Duration of a tool that runs after the first sentence."""


@dataclass
class World:
    """A call in which everything that happens is known beforehand.

    events, audio: delays of the two ways from the agent, which do not overtake themselves.
    """

    reports: bool = True
    leaves_out: tuple[type[Delivery], ...] = ()
    events: float = 0.03
    audio: float = 0.03
    happens: list[tuple[float, int, Delivery | str]] = field(
        default_factory=list[tuple[float, int, "Delivery | str"]]
    )
    voice: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    figures: list[float] = field(default_factory=list[float])
    ends: float = 0.0
    """The end of the agent's last sound."""
    _order: Iterator[int] = field(default_factory=itertools.count)

    def report(self, at: float, *events: Delivery) -> None:
        for event in events:
            if (self.reports or event == CLEAR) and not isinstance(event, self.leaves_out):
                self.happens.append((at + self.events, next(self._order), event))

    def sound(self, at: float, seconds: float) -> None:
        for n in range(round(seconds / 0.04)):
            self.happens.append((at + self.audio + 0.04 * n, next(self._order), "sound"))
        self.ends = max(self.ends, at + self.audio + seconds)

    def speak(self, since: float, until: float) -> None:
        self.voice.append((since, until))

    def interrupt(self, at: float) -> None:
        """The agent hears the user begin to speak."""
        arrives = {True: at + self.audio, False: at + self.events}
        self.happens = [each for each in self.happens if each[0] < arrives[each[2] == "sound"]]
        played = (when for when, _, what in self.happens if what == "sound")
        self.ends = max((when + 0.04 for when in played), default=0.0)
        self.report(at, rtvi.UserStarted(), CLEAR, rtvi.BotInterrupted(), rtvi.BotStopped())

    def reply(self, at: float, reply: Reply, said_until: float | None) -> float:
        """Let the agent begin to think at `at`; return when its reply is over."""
        self.report(at, rtvi.BotThinking())
        clock, first = at + reply.thinks, True
        self.report(clock, rtvi.BotThought())
        for pause, seconds in reply.sentences:
            self.report(clock, rtvi.SpeechStarted())
            clock += pause
            self.report(clock, rtvi.BotStarted())
            if first and said_until is not None:
                self.figures.append(clock + self.audio - said_until)
            self.sound(clock, seconds)
            clock += seconds
            self.report(clock, rtvi.SpeechStopped(), rtvi.BotStopped())
            if first and reply.tool is not None:
                self.report(clock - 0.01, rtvi.ToolStarted("t"))
                clock += reply.tool
                self.report(clock, rtvi.ToolStopped("t"), rtvi.BotThinking())
                clock += 0.2
                self.report(clock, rtvi.BotThought())
            first = False
        return clock


@dataclass
class Outcome:
    """The call as the scripted caller found it."""

    figures: list[float]
    over: float
    answered: bool


def hold(world: World, limit: float = 400.0, begin: float = 0.0) -> Outcome:
    """Let the scripted caller hold the call; it waits for an answer from the end of its clip on."""
    tracker = TurnTracker(world.reports)
    tracker.receive(Connected(resumed=False), 0.0)
    tracker.expect()
    waits_from = max((until for _, until in world.voice), default=begin)
    coming, figures, at = sorted(world.happens, key=lambda each: each[:2]), list[float](), 0.0
    playing = -1.0
    while at < limit:
        speaking = any(since - 0.2 < at < until + 0.1 for since, until in world.voice)
        soon = coming and coming[0][0] < at + 0.2
        at += BLOCK if speaking or soon else 10 * BLOCK  # quiet times go by faster
        while coming and coming[0][0] <= at:
            when, _, what = coming.pop(0)
            if isinstance(what, str):
                tracker.sounded(when, when)
                playing = when + 0.06
            elif isinstance(what, rtvi.Sound):
                tracker.outcome_told(what == HEARD, when)
            else:
                tracker.receive(what, when)
            answer = tracker.take_answer()
            if answer is not None:
                figures.append(answer.began - answer.said_until)
        for since, until in world.voice:
            if since < at - 1e-9 and at - BLOCK < until - 1e-9:
                tracker.voiced(min(at, until))
        tracker.tick(at, at < playing)
        if at > waits_from + BLOCK and tracker.answered and tracker.settled(at):
            return Outcome(figures, at, True)
        if at > waits_from and tracker.stalled(at):
            return Outcome(figures, at, tracker.answered)
    raise AssertionError(f"the call is not over after {limit} s: {tracker.__dict__}")


def turn(
    world: World, since: float, until: float, reply: Reply | None, hears: float = 0.2
) -> float:
    """Let the user speak and the agent reply; return when the reply is over."""
    world.speak(since, until)
    if since + hears < until + 0.5:
        world.interrupt(since + hears)
    closed = until + 0.5
    world.report(closed, rtvi.UserTranscription("words", True), rtvi.UserStopped())
    return world.reply(closed, reply, until) if reply else closed


seconds = st.floats(0.02, 3.0).map(lambda value: round(value, 2))
sounds = st.floats(0.1, 2.0).map(lambda value: round(value, 2))
sentences = st.lists(st.tuples(seconds, sounds), min_size=1, max_size=3).map(tuple)
replies = st.builds(Reply, seconds, sentences, st.none() | st.floats(0.1, 20.0))
delays = st.floats(0.005, 0.15)


def sure(found: Outcome, world: World) -> None:
    """Assert that the caller waited for all of the answer, and has the right figures."""
    assert found.answered
    assert found.over >= world.ends
    last = max(at for at, _, _ in world.happens)
    assert found.over <= max(last, world.ends) + 1.3
    assert found.figures == pytest.approx(world.figures, abs=0.021)


@settings(max_examples=N, deadline=None)
@given(delays, delays, st.lists(st.tuples(seconds, seconds, replies), min_size=1, max_size=3))
def test_caller_waits_for_every_answer_whatever_its_pace(
    events: float, audio: float, turns: list[tuple[float, float, Reply]]
) -> None:
    """Questions in one file, with pauses between them that are long enough for the answers."""
    world, clock = World(events=events, audio=audio), 0.0
    for pause, length, reply in turns:
        begins = clock + 1.0 + pause
        clock = turn(world, begins, begins + 0.3 + length, reply)
    sure(hold(world), world)


LESS = (rtvi.BotThought, rtvi.SpeechStarted, rtvi.SpeechStopped)
QUICK = st.builds(Reply, seconds, st.lists(st.tuples(st.floats(0, 0.4), sounds), min_size=1))


@settings(max_examples=N // 4, deadline=None)
@given(delays, delays, seconds, QUICK, st.sampled_from([LESS, (*LESS, rtvi.BotThinking)]))
def test_agent_that_reports_less_is_followed_by_its_sound(
    events: float, audio: float, length: float, reply: Reply, leaves_out: tuple[type[Delivery], ...]
) -> None:
    world = World(events=events, audio=audio, leaves_out=leaves_out)
    turn(world, 1.0, 1.3 + length, reply)
    sure(hold(world), world)


@settings(max_examples=N // 2, deadline=None)
@given(delays, delays, seconds, replies, st.floats(0.0, 6.0), st.booleans())
def test_greeting_that_is_late_is_not_the_answer(
    events: float, audio: float, length: float, reply: Reply, late: float, thinks: bool
) -> None:
    world = World(events=events, audio=audio)
    greeting = Reply(0.3 if thinks else 0.0, ((0.2, 2.0),))
    if late < 3.0:  # later, the agent hears the caller first, and drops its greeting
        world.reply(late, greeting, None)
        world.figures.clear()
    turn(world, 3.0, 3.5 + length, reply)
    sure(hold(world), world)


@settings(max_examples=N // 4, deadline=None)
@given(replies, st.floats(0.02, 0.06), st.floats(1.5, 20.0), st.booleans())
def test_click_after_the_answer_is_not_a_question(
    reply: Reply, click: float, after: float, heard: bool
) -> None:
    world = World()
    over = turn(world, 1.0, 2.0, reply)
    since = over + after
    world.speak(since, since + click)
    if heard:  # the agent's detector takes it for speech, and recognizes nothing
        world.report(since + 0.2, rtvi.UserStarted(), rtvi.BotInterrupted())
        world.report(since + 1.2, rtvi.UserStopped())
        world.ends = since + 1.2
    else:
        world.ends = since + click
    found = hold(world)
    assert found.answered and found.over <= world.ends + 2.0
    assert found.figures == pytest.approx(world.figures, abs=0.021)


@given(replies, st.floats(0.02, 0.06))
def test_click_before_the_answer_changes_no_figure(reply: Reply, click: float) -> None:
    world = World()
    turn(world, 1.0, 2.0, reply)
    world.speak(2.4, 2.4 + click)
    sure(hold(world), world)


@given(seconds, st.sampled_from(["deaf", "heard", "understood", "thinks"]))
def test_question_without_an_answer_is_told(length: float, how_far: str) -> None:
    world = World()
    begins, ends = 1.0, 1.1 + length
    world.speak(begins, ends)
    if how_far != "deaf":
        world.report(begins + 0.2, rtvi.UserStarted())
        world.report(ends + 0.5, rtvi.UserStopped())
    if how_far in ("understood", "thinks"):
        world.report(ends + 0.4, rtvi.UserTranscription("words", True))
    if how_far == "thinks":
        world.report(ends + 0.6, rtvi.BotThinking())
    found = hold(world)
    assert not found.answered
    assert found.over == pytest.approx(ends + ANSWER_SECONDS + 0.6, abs=0.7)


@given(seconds, st.booleans(), st.floats(3.5, 5.0))
def test_question_that_the_agent_did_not_hear_is_told_early(
    length: float, noticed: bool, after: float
) -> None:
    world = World()
    ends = 1.5 + length
    world.speak(1.0, ends)
    if noticed:
        world.report(1.2, rtvi.UserStarted())
        world.report(ends + 0.5, rtvi.UserStopped())
    world.report(ends + after, UNHEARD)
    found = hold(world)
    assert not found.answered
    assert ends + after + 7 < found.over < ends + after + 9


def test_click_instead_of_a_question_is_told_early() -> None:
    world = World()
    world.speak(1.0, 1.04)
    world.report(4.6, UNHEARD)
    found = hold(world)
    assert not found.answered
    assert 12 < found.over < 14


@settings(max_examples=N // 2, deadline=None)
@given(seconds, replies, st.lists(st.tuples(st.floats(0, 12), st.sampled_from([HEARD, UNHEARD]))))
def test_outcomes_of_other_sounds_cut_no_answer_short(
    length: float, reply: Reply, outcomes: list[tuple[float, rtvi.Sound]]
) -> None:
    """Such as a click before the question, of which the agent tells 3 s later."""
    world = World()
    turn(world, 1.0, 1.3 + length, reply)
    ends = world.ends
    for at, outcome in outcomes:
        world.report(at, outcome)
    found = hold(world)
    assert found.answered and found.over >= ends
    assert found.figures == pytest.approx(world.figures, abs=0.021)


@given(seconds, st.floats(3.5, 5.0), st.floats(0.0, 7.5), replies)
def test_late_words_are_waited_for(length: float, after: float, later: float, reply: Reply) -> None:
    """A slow recognizer finds them after the agent has told that there were none."""
    world = World()
    ends = 1.5 + length
    world.speak(1.0, ends)
    world.report(1.2, rtvi.UserStarted())
    world.report(ends + 0.5, rtvi.UserStopped())
    world.report(ends + after, UNHEARD)
    words_at = ends + after + later
    world.report(words_at, rtvi.UserTranscription("words", True))
    world.reply(words_at, reply, ends)
    sure(hold(world), world)


@given(replies)
def test_second_question_without_an_answer_is_told(reply: Reply) -> None:
    world = World()
    over = turn(world, 1.0, 2.0, reply)
    world.speak(over + 1.0, over + 2.0)
    found = hold(world)
    assert not found.answered
    assert len(found.figures) == 1


@settings(max_examples=N // 4, deadline=None)
@given(delays, seconds, st.lists(seconds, min_size=1, max_size=3))
def test_telephone_follows_from_sound(audio: float, length: float, sounds: list[float]) -> None:
    world = World(reports=False, audio=audio)
    world.sound(0.1, 1.0)  # the greeting
    world.speak(3.0, 3.3 + length)
    clock = 3.3 + length + 0.6
    world.figures.append(0.6 + audio)
    for seconds_ in sounds:
        world.sound(clock, seconds_ + 0.1)
        clock += seconds_ + 0.5
    sure(hold(world), world)


def test_reply_to_keys_begins_with_sound() -> None:
    tracker = TurnTracker(reports=False)
    tracker.receive(Connected(resumed=False), 0.0)
    tracker.pressed(1.0)
    tracker.receive(CLEAR, 1.1)
    tracker.tick(4.0, playing=False)
    assert not tracker.answered
    tracker.sounded(4.5, 4.5)
    answer = tracker.take_answer()
    assert answer and not answer.measured
    assert tracker.answered and not tracker.settled(5.2) and tracker.settled(5.4)


def test_answer_that_a_lost_connection_cut_off_is_awaited_again() -> None:
    world = World()
    turn(world, 1.0, 2.0, Reply(0.1, ((0.0, 1.0),)))
    cut = 3.0
    world.happens = [each for each in world.happens if each[0] < cut]
    world.report(cut, Disconnected("gone", planned=False))
    world.report(cut + 0.5, Connected(resumed=True))
    figures = list(world.figures)
    world.ends = world.reply(cut + 4.0, Reply(0.5, ((0.0, 3.0),)), None)
    found = hold(world)
    assert found.answered and found.over > world.ends
    assert found.figures == pytest.approx(figures, abs=0.021)


@pytest.mark.parametrize("agent_interrupts", [True, False])
def test_line_typed_over_the_agent_is_not_answered_by_what_it_was_saying(
    agent_interrupts: bool,
) -> None:
    tracker = TurnTracker()
    events: list[tuple[float, Callable[[], object]]] = []
    tracker.receive(Connected(resumed=False), 0.0)
    tracker.receive(rtvi.BotThinking(), 0.1)
    tracker.receive(rtvi.BotStarted(), 0.2)
    for n in range(20):
        events.append((0.2 + 0.04 * n, lambda at=0.2 + 0.04 * n: tracker.sounded(at, at)))
    events.append((0.9, lambda: tracker.typed(0.9)))
    if agent_interrupts:
        events.append((1.0, lambda: tracker.receive(rtvi.BotInterrupted(), 1.0)))
    events.append((1.5, lambda: tracker.receive(rtvi.BotThinking(), 1.5)))
    events.append((2.0, lambda: tracker.sounded(2.0, 2.0)))
    answers: list[float] = []
    for _, happen in sorted(events, key=lambda each: each[0]):
        happen()
        answer = tracker.take_answer()
        if answer:
            answers.append(answer.began - answer.said_until)
    assert answers == [pytest.approx(1.1)]


def test_typed_line_is_understood_before_the_agent_reports_anything() -> None:
    tracker = TurnTracker()
    tracker.receive(Connected(resumed=False), 0.0)
    tracker.typed(1.0)
    assert tracker.why_silent == "It understood you, but sent no sound."
    tracker.sounded(2.0, 2.0)
    assert tracker.take_answer() == Answer(2.0, 1.0, True)

"""Owns the transcript of a call as it unfolds: deliveries in, utterances and latencies out.

It has no clock and no effects. Times are seconds of any one monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from voicecore.contract import agent_log
from voicecore.talk.audio import vad
from voicecore.talk.channel import (
    Connected,
    Delivery,
    Disconnected,
    HungUp,
    IcePath,
    Note,
)
from voicecore.talk.events import AgentSaid, CallEvent, KeyPressed, TurnMeasured, UserSaid
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.turn_tracker import Answer, TurnTracker
from voicecore.talk.view.joined_text import joined
from voicecore.talk.view.latency import MeasuredTurn

_UTTERANCES_MAX = 1000
"""Entries that are kept to be shown, the newest."""
_ERROR_MAX = 500
"""Characters of an agent's error in a sentence of ours."""


@dataclass(frozen=True)
class Utterance:
    """One entry of the transcript; `turn` is the number of the turn that it answers."""

    speaker: Literal["you", "agent", "note"]
    text: str
    interrupted: bool = False
    turn: int | None = None


@dataclass
class _Answer:
    """The agent's answer so far: its sentences, and how much of each was played."""

    sentences: dict[object, rtvi.BotOutput] = field(default_factory=dict[object, rtvi.BotOutput])
    interrupted: bool = False
    turn: int | None = None

    def add(self, sentence: rtvi.BotOutput) -> None:
        """Add a sentence, or replace the one with the same segment number."""
        if not _fits(each.text for each in self.sentences.values()):
            return
        self.sentences[sentence.segment or f"sentence {len(self.sentences)}"] = sentence

    def utterance(self) -> Utterance:
        """Return what was said; of an interrupted answer, what was played.

        If the agent does not report what was played, the interrupted sentence is kept whole.
        """
        said: list[str] = []
        for sentence in self.sentences.values():
            partial = sentence.spoken is not None and sentence.spoken != sentence.text
            if self.interrupted and partial:
                said.append(sentence.spoken or sentence.text)
                break
            said.append(sentence.text)
        return Utterance("agent", joined(said), self.interrupted, self.turn)


def _fits(said: Iterable[str]) -> bool:
    """Return whether more text may join an utterance, which is redrawn at each change."""
    return sum(map(len, said)) < rtvi.TEXT_MAX


class CallTranscript:
    """The state of one call. Calls `report` with each event, once and in order."""

    def __init__(self, report: Callable[[CallEvent], None], agent_reports: bool = True) -> None:
        self._report = report
        self.tracker = TurnTracker(agent_reports)
        self._entries: deque[Utterance] = deque(maxlen=_UTTERANCES_MAX)
        self.turns: list[MeasuredTurn] = []
        self.not_heard = ""
        """Sentence that says why the user's last sound was not heard; empty if it was."""
        self.error = ""
        """The agent's last error since it last answered; empty if there was none."""
        self._heard: list[str] = []  # final transcriptions of the current turn
        self._interim = ""
        self._turn_open = False  # the user has said something since the answer began
        self._answer = _Answer()
        self._cut: _Answer | None = None  # an answer that a lost connection cut off
        self._early: rtvi.AgentLatency | None = None  # arrived before the audio it is about

    # State to show

    @property
    def utterances(self) -> list[Utterance]:
        """Finished utterances, the oldest first; of a long call, the newest 1,000."""
        return list(self._entries)

    @property
    def live(self) -> list[Utterance]:
        """Unfinished utterances, in the order in which they will join `utterances`."""
        shown = [answer.utterance() for answer in (self._cut, self._answer) if answer]
        pending = joined([*self._heard, self._interim]).strip()
        shown.insert(len(shown) if self._turn_open else 0, Utterance("you", pending))
        return [utterance for utterance in shown if utterance.text]

    @property
    def why_silent(self) -> str:
        """Return in a sentence why what the user said has no answer, as far as it is known."""
        if self.error:
            return f"Its last error: {self.error}"
        unheard = "" if self.tracker.understood else self.not_heard
        return unheard or self.tracker.why_silent

    # The user

    def voiced(self, at: float) -> None:
        """Take note that the user's voice sounded until `at`."""
        if not self.tracker.awaiting:
            self._early = None
        self.tracker.voiced(at)

    def typed(self, text: str, at: float) -> None:
        """Add a line that the user typed, which interrupts the agent."""
        self._interrupt()
        self.not_heard = ""
        self._heard = [text]
        self._turn_open = True
        self._commit_user()
        self._early = None
        self.tracker.typed(at)

    def pressed(self, key: str, at: float) -> None:
        """Add a key of the telephone that the user pressed."""
        self.tracker.pressed(at)
        self._entries.append(Utterance("you", f"pressed {key}"))
        self._report(KeyPressed(key))

    # Deliveries

    def receive(self, delivery: Delivery, at: float) -> None:
        """Take in what the channel delivered."""
        if isinstance(delivery, pipecat_frames.Audio):
            self._sound(delivery, at)
        elif isinstance(delivery, rtvi.Sound):
            self._add_sound(delivery, at)
        else:
            self._receive_event(delivery)
            self.tracker.receive(delivery, at)
        answer = self.tracker.take_answer()
        if answer is not None:
            self._begin_turn(answer)

    def _receive_event(self, delivery: Delivery) -> None:
        match delivery:
            case pipecat_frames.Interruption() | rtvi.BotInterrupted():
                self._interrupt()
            case Disconnected():
                self._disconnected()
                self._report(delivery)
            case Connected() | HungUp() | IcePath():
                self._report(delivery)
            case Note() | rtvi.AgentError() | rtvi.ToolCall():
                self._add_note(delivery)
            case rtvi.UserStarted():
                self._interrupt()
                self._turn_open = True
            case rtvi.UserStopped():
                self._commit_user()
            case rtvi.UserTranscription(text, final):
                self._understood(text, final)
            case rtvi.BotThinking() | rtvi.BotStarted():
                self._begin_answer()
            case rtvi.BotOutput():
                self._cut = None  # after a lost connection the agent says its answer again
                self._answer.add(delivery)
            case rtvi.AgentLatency():
                self._measured_by_agent(delivery)
            case _:
                pass  # only the tracker's; channels deliver Connected for BotReady

    def tick(self, at: float, playing: bool = False) -> None:
        """Let time pass: an answer that nothing followed is over."""
        self.tracker.tick(at, playing)
        if self.tracker.settled(at):
            self._finish_answer()

    def end(self) -> None:
        """End the transcript: report what is unfinished, as far as it got."""
        self._commit_user()
        self._finish_cut()
        self._finish_answer()

    # Utterances

    def _add_note(self, event: Note | rtvi.AgentError | rtvi.ToolCall | rtvi.Sound) -> None:
        match event:
            case rtvi.AgentError(text):
                self.error = text[:_ERROR_MAX]
            case Note(text) | rtvi.Sound(_, text):
                pass
            case rtvi.ToolCall(name, ms):
                text = f"{name} took {ms:.0f} ms"
        self._entries.append(Utterance("note", text))
        self._report(event)

    def _add_sound(self, sound: rtvi.Sound, at: float) -> None:
        """Add what was not heard; what was is what the user said."""
        heard = sound.outcome == agent_log.HEARD
        self.tracker.outcome_told(heard, at)
        self.not_heard = "" if heard else sound.message
        if not heard:
            self._add_note(sound)

    def _understood(self, text: str, final: bool) -> None:
        if not final:
            self._interim = text
            return
        self._interim = ""
        if _fits(self._heard):
            self._heard.append(text)
        if self._turn_open or not self.tracker.answering:
            self._turn_open = True
        else:
            # Some models transcribe after they have begun to answer: the words belong before it.
            self._add_user()

    def _commit_user(self) -> None:
        if self._heard:
            self._finish_cut()
            self._finish_answer()
            self._add_user()

    def _add_user(self) -> None:
        text = joined(self._heard)
        self._heard, self._interim = [], ""
        self._entries.append(Utterance("you", text))
        self._report(UserSaid(text))

    def _begin_answer(self) -> None:
        self._commit_user()
        if self._turn_open:
            self._finish_answer()
            self._turn_open = False

    def _finish_answer(self) -> None:
        utterance = self._answer.utterance()
        self._answer = _Answer()
        # An answer that was interrupted in its first sentence has no text: agents report a
        # sentence when it has been said. It is worth an entry all the same.
        if utterance.text or utterance.interrupted:
            self._add_agent(utterance)

    def _finish_cut(self) -> None:
        if self._cut is not None:
            self._cut.interrupted = True
            self._add_agent(self._cut.utterance())
            self._cut = None

    def _add_agent(self, utterance: Utterance) -> None:
        self._entries.append(utterance)
        self._report(AgentSaid(utterance.text, utterance.interrupted, utterance.turn))

    def _interrupt(self) -> None:
        if self.tracker.bot_speaking:
            self._answer.interrupted = True

    def _disconnected(self) -> None:
        # On the next connection both sides say again what they had not finished.
        self._turn_open = False
        self._heard, self._interim = [], ""
        if self.tracker.answering and self._answer.sentences:
            self._cut, self._answer = self._answer, _Answer(turn=self._answer.turn)

    # Latency

    def _sound(self, audio: pipecat_frames.Audio, at: float) -> None:
        start = vad.first_audible_sample(audio.pcm, audio.rate * audio.channels)
        if start is not None:
            self.tracker.sounded(at + start / (audio.rate * audio.channels), at)

    def _begin_turn(self, answer: Answer) -> None:
        if not answer.measured:
            return
        self._begin_answer()
        self.error = ""
        total_ms = 1000 * (answer.began - answer.said_until)
        turn = MeasuredTurn(len(self.turns) + 1, total_ms, self._early)
        self.turns.append(turn)
        self._answer.turn, self._early = turn.number, None
        if turn.agent is not None:
            self._report(TurnMeasured(turn))

    def _measured_by_agent(self, measured: rtvi.AgentLatency) -> None:
        if self.tracker.awaiting:
            self._early = measured
        elif self.turns and self.turns[-1].agent is None:
            self.turns[-1] = replace(self.turns[-1], agent=measured)
            self._report(TurnMeasured(self.turns[-1]))

"""The conversation as it unfolds: events in, transcript and latencies out. No clock, no effects.

Times are seconds of any one monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from voicecore.talk.audio import vad
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import Connected, Disconnected, HungUp, News, Note, Path
from voicecore.talk.view import latency

_PAUSE_SECONDS = 0.3
"""The agent's sound after a silence this long is a new utterance."""
_SETTLE_SECONDS = 0.8
"""An answer is over when nothing followed for so long: sentences may come one by one."""


@dataclass(frozen=True)
class Line:
    """One utterance of the transcript; `turn` is the number of the turn that it answers."""

    who: Literal["you", "agent", "note"]
    text: str
    interrupted: bool = False
    turn: int | None = None


@dataclass
class _Answer:
    """What the agent is saying: its sentences, and how far each has been heard."""

    sentences: dict[object, rtvi.BotSays] = field(default_factory=dict[object, rtvi.BotSays])
    interrupted: bool = False
    turn: int | None = None

    def add(self, says: rtvi.BotSays) -> None:
        """Take in a sentence, or news of one: its segment tells them apart."""
        self.sentences[says.segment or f"sentence {len(self.sentences)}"] = says

    def line(self) -> Line:
        """What was said; of an interrupted answer as far as it was heard.

        Where no word times are known, the sentence under way stands whole.
        """
        said: list[str] = []
        for says in self.sentences.values():
            if self.interrupted and says.spoken is not None and says.spoken != says.text:
                said.append(says.spoken or says.text)
                break
            said.append(says.text)
        return Line("agent", " ".join(said), self.interrupted, self.turn)


class Dialogue:
    """The state of one conversation; `report` is told what happened, once each, in order."""

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        self._report = report
        self.lines: list[Line] = []
        self.turns: list[latency.Turn] = []
        self.connected = False
        self.user_speaking = False
        self.bot_speaking = False
        self.answered = False
        """Whether the answer to what the user said last has begun to sound."""
        self.active = False
        """Whether the agent has said or begun anything at all."""
        self._heard: list[str] = []  # final transcripts of the turn under way
        self._interim = ""
        self._turn_open = False  # the user has said something since the answer began
        self._answer = _Answer()
        self._cut: _Answer | None = None  # an answer that a lost connection cut off
        self._thinking = False
        self._ended_at: float | None = None  # end of speech of what waits for an answer
        self._noticed = False  # by the agent: it takes that for a turn
        self._sounded_at: float | None = None  # when the agent was last heard
        self._active_at = 0.0
        self._early: rtvi.Latency | None = None  # arrived before the sound that it explains

    # What is to be seen

    @property
    def live(self) -> list[Line]:
        """The utterances under way, in the order in which they will join `lines`."""
        shown = [answer.line() for answer in (self._cut, self._answer) if answer]
        pending = " ".join([*self._heard, self._interim]).strip()
        shown.insert(len(shown) if self._turn_open else 0, Line("you", pending))
        return [line for line in shown if line.text]

    def settled(self, at: float) -> bool:
        """Whether nobody speaks and nothing is awaited: the other may go on."""
        busy = self.user_speaking or self.bot_speaking or self._thinking or not self.connected
        return not busy and at - self._active_at > _SETTLE_SECONDS

    # What the user does

    def voiced(self, at: float) -> None:
        """The user's voice was sounding until `at`."""
        if self._ended_at is None:
            self._noticed = self.user_speaking
            self._early = None
        self.answered = False
        self._ended_at = at

    def typed(self, text: str, at: float) -> None:
        """The user sent a line of text, which cuts off what the agent was saying."""
        self._interrupt()
        self._heard = [text]
        self._turn_open = True
        self._commit_user()
        self._ended_at, self._noticed, self.answered, self._early = at, True, False, None

    # What arrives

    def receive(self, news: News, at: float) -> None:
        """Take in what the connection delivered."""
        match news:
            case pipecat_frames.Audio():
                self._sound(news, at)
                return
            case pipecat_frames.Interruption() | rtvi.BotInterrupted():
                self._interrupt()
            case Connected(resumed):
                self.connected = True
                self._report({"event": "reconnected" if resumed else "connected"})
            case Disconnected(reason, planned):
                self._disconnected()
                self._report({"event": "reconnecting", "reason": reason, "planned": planned})
            case HungUp():
                self._report({"event": "agent_hung_up"})
            case Note(text):
                self.lines.append(Line("note", text))
                self._report({"event": "note", "text": text})
            case Path():
                self._report({"event": "path", **asdict(news)})
            case rtvi.AgentError(message, fatal):
                self.lines.append(Line("note", message))
                self._report({"event": "error", "message": message, "fatal": fatal})
            case rtvi.UserStarted():
                self._interrupt()
                self.user_speaking = self._turn_open = self._noticed = True
            case rtvi.UserStopped():
                self.user_speaking = False
                self._commit_user()
            case rtvi.UserSaid(text, final):
                self._understood(text, final)
            case rtvi.BotThinking():
                self._thinking = self.active = True
                self._begin_answer()
            case rtvi.BotStarted():
                self.bot_speaking = self.active = True
                self._begin_answer()
            case rtvi.BotStopped():
                self.bot_speaking = False
            case rtvi.BotSays():
                self.active = True
                self._cut = None  # the agent says it again, as it does after a lost connection
                self._answer.add(news)
            case rtvi.Latency():
                self._measured_by_agent(news)
            case rtvi.ToolCall(name, ms):
                self.lines.append(Line("note", f"{name} took {ms:.0f} ms"))
                self._report({"event": "tool_call", "name": name, "ms": ms})
            case rtvi.BotReady():
                pass  # the connection says Connected instead
        self._active_at = at

    def tick(self, at: float) -> None:
        """Let time pass: an answer that nothing followed is over."""
        if self.settled(at):
            self._finish_answer()

    def end(self) -> None:
        """Nothing more will come: what is under way is said as far as it got."""
        self._commit_user()
        self._finish_cut()
        self._finish_answer()

    # Transcript

    def _understood(self, text: str, final: bool) -> None:
        self._noticed = True
        if not final:
            self._interim = text
            return
        self._interim = ""
        self._heard.append(text)
        answering = self._thinking or self.bot_speaking
        if self._turn_open or not answering:
            self._turn_open = True
        else:
            # Some models transcribe after they have begun to answer: the words belong before it.
            self._say_user()

    def _commit_user(self) -> None:
        if self._heard:
            self._finish_cut()
            self._finish_answer()
            self._say_user()

    def _say_user(self) -> None:
        text = " ".join(self._heard)
        self._heard, self._interim = [], ""
        self.lines.append(Line("you", text))
        self._report({"event": "user_said", "text": text})

    def _begin_answer(self) -> None:
        self._commit_user()
        if self._turn_open:
            self._finish_answer()
            self._turn_open = False

    def _finish_answer(self) -> None:
        line = self._answer.line()
        self._answer = _Answer()
        # An answer that was interrupted in its first sentence has no text: agents report a
        # sentence when it has been said. That there was one is worth a line all the same.
        if line.text or line.interrupted:
            self._say_agent(line)

    def _finish_cut(self) -> None:
        if self._cut is not None:
            self._cut.interrupted = True
            self._say_agent(self._cut.line())
            self._cut = None

    def _say_agent(self, line: Line) -> None:
        self.lines.append(line)
        self._report(
            {"event": "agent_said", "text": line.text, "interrupted": line.interrupted}
            | ({"turn": line.turn} if line.turn else {})
        )

    def _interrupt(self) -> None:
        if self.bot_speaking:
            self._answer.interrupted = True
        self.bot_speaking = self._thinking = False
        self._sounded_at = None  # what sounds next is a new utterance

    def _disconnected(self) -> None:
        # What was not finished is said again on the next connection, by either side.
        self.connected = self.user_speaking = self._turn_open = False
        self._heard, self._interim = [], ""
        if (self.bot_speaking or self._thinking) and self._answer.sentences:
            self._cut, self._answer = self._answer, _Answer(turn=self._answer.turn)
        self.bot_speaking = self._thinking = False

    # Latency

    def _sound(self, audio: pipecat_frames.Audio, at: float) -> None:
        start = vad.first_sound_sample(audio.pcm, audio.rate * audio.channels)
        if start is None:
            return
        fresh = self._sounded_at is None or at - self._sounded_at > _PAUSE_SECONDS
        if fresh and self._noticed and self._ended_at is not None:
            self._begin_answer()
            begun = at + start / (audio.rate * audio.channels)
            turn = latency.Turn(len(self.turns) + 1, 1000 * (begun - self._ended_at), self._early)
            self.turns.append(turn)
            self._answer.turn = turn.number
            self._ended_at, self._noticed, self._early, self.answered = None, False, None, True
            if turn.agent is not None:
                self._report_turn(turn)
        self._thinking, self.active = False, True
        self._sounded_at = self._active_at = at

    def _measured_by_agent(self, measured: rtvi.Latency) -> None:
        if self._ended_at is not None and self._noticed:
            self._early = measured
        elif self.turns and self.turns[-1].agent is None:
            self.turns[-1] = replace(self.turns[-1], agent=measured)
            self._report_turn(self.turns[-1])

    def _report_turn(self, turn: latency.Turn) -> None:
        self._report(
            {
                "event": "latency",
                "turn": turn.number,
                "total_ms": round(turn.total_ms, 1),
                "agent_ms": round(turn.agent.total_ms, 1) if turn.agent else None,
                "stages": [{"key": part.name, "ms": round(part.ms, 1)} for part in turn.parts],
            }
        )

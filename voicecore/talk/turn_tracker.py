"""Owns whose turn it is in a call: what the agent owes the user, and when the user may speak.

Follows what the agent reports and what sounds, on both sides. It has no clock and no effects. Times
are seconds of any one monotonic clock, given by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicecore.talk.channel import Connected, Delivery, Disconnected
from voicecore.talk.transports import pipecat_frames, rtvi

ANSWER_SECONDS = 30.0
"""No model thinks longer; an agent that neither says nor reports anything for this long failed."""
_UNHEARD_SECONDS = 8.0
"""The same once the agent has told that the user's sound was not heard: words that its recognizer
finds late, and a model that hears by itself, come sooner."""
_TOOL_SECONDS = 900.0
"""The same while a tool runs: AgentCore ends no session before (limits: synchronous request)."""
_SETTLE_SECONDS = 0.8
"""Nothing that an agent reports is followed by more of the same answer later than this."""
_PAUSE_SECONDS = 0.3
"""The agent's audio after a silence this long is a new utterance."""
_PHRASE_PAUSE = 0.2
"""The user's voice after a silence this long is a new phrase, as for the agent's detector."""
_BLOCK_SECONDS = 0.02
_CLICK_SECONDS = 0.1
"""Voice shorter than this is a click, unless the agent hears it."""
_WORD_SECONDS = 0.3
"""A phrase of this length has to be answered, even if the agent does not hear it."""


@dataclass
class _Phrase:
    """Something the user said, typed or pressed that waits for an answer."""

    until: float
    seconds: float
    over_after: float = 2 * _BLOCK_SECONDS
    """Silence that ends it: until then, its voice goes on."""
    measured: bool = True


@dataclass(frozen=True)
class Answer:
    """An answer that has begun to sound."""

    began: float
    said_until: float
    """End of what it answers."""
    measured: bool
    """False if it answers keys."""


class TurnTracker:
    """The turns of one call.

    reports: the agent reports what it hears and does. Without, as over a telephone, everything
    follows from what sounds.
    """

    def __init__(self, reports: bool = True) -> None:
        self._reports = reports
        self.connected = self.user_speaking = self.bot_speaking = False
        self.active = False
        """True when the agent has said or begun anything at all."""
        self._phrases: list[_Phrase] = []
        self._burst: _Phrase | None = None  # voice that may still be a click
        self._noticed = not reports  # the agent has noticed what waits for an answer
        self._understood = False
        self._generating = self._speaking = False  # text, and speech from it
        self._reports_thoughts = False  # it reports the end of text, too
        self._repeats = False  # it will say an answer again that a lost connection cut off
        self._tools: set[str] = set()
        self._reply_open = self._reports_replies = False
        self._reply_said = False  # its sound may still be on the way
        self._reply_to: float | None = None  # end of the phrase that the open reply answers
        self._fresh_at: float | None = None  # start of a new utterance that answers nothing so far
        self._sounded_at: float | None = None  # when the agent was last heard
        self._unheard_at: float | None = None  # when it last told that a sound was not heard
        self._active_at = 0.0
        self._heard_answer = False

    # State

    @property
    def awaiting(self) -> bool:
        """True when the agent has noticed the user and its answer has not begun to play."""
        return bool(self._phrases) and self._noticed

    @property
    def understood(self) -> bool:
        """True when the agent has words of what waits, or has begun to answer it."""
        return self._understood

    @property
    def said_until(self) -> float | None:
        """End of the last phrase that waits for an answer."""
        return self._phrases[-1].until if self._phrases else None

    @property
    def answered(self) -> bool:
        """True when the answer to everything that was said has begun to play."""
        owed = self._understood or any(each.seconds >= _WORD_SECONDS for each in self._phrases)
        return self._heard_answer and not (self._phrases and owed)

    def settled(self, at: float) -> bool:
        """Return whether nothing is being said or prepared, so that the user may speak."""
        busy = self.user_speaking or self.bot_speaking or self._replying or not self.connected
        return not busy and at - self._active_at > _SETTLE_SECONDS

    def stalled(self, at: float) -> bool:
        """Return whether the agent has neither said nor reported anything for too long."""
        if self._unheard:
            return at - max(self._active_at, self._unheard_at or 0.0) > _UNHEARD_SECONDS
        return self.quiet_seconds(at) > (_TOOL_SECONDS if self._tools else ANSWER_SECONDS)

    def quiet_seconds(self, at: float) -> float:
        """Return how long neither side has said or reported anything."""
        return at - max(self._active_at, self.said_until or 0.0)

    @property
    def why_silent(self) -> str:
        """Return in a sentence how far the agent got with what waits for an answer."""
        if not self._reports:
            return "It does not tell what it heard."
        if self._tools:
            return "One of its tools still runs."
        if self._understood:
            return "It understood you, but sent no sound."
        if self.user_speaking:
            return "It still hears you speak."
        return "It heard you, but understood no words." if self._noticed else "It did not hear you."

    @property
    def answering(self) -> bool:
        """True from the first sign of a reply to its end."""
        return self.bot_speaking or (self._reply_open and not self._reply_said)

    @property
    def _unheard(self) -> bool:
        """True when the agent has told that what waits for an answer was not heard."""
        waits = self._phrases or not self._heard_answer
        if self._unheard_at is None or not waits:
            return False
        busy = self._understood or self.user_speaking or self._replying
        return self._unheard_at > (self.said_until or 0.0) and not busy

    @property
    def _replying(self) -> bool:
        return self._generating or self._speaking or self._repeats or bool(self._tools)

    # The user

    def expect(self) -> None:
        """Begin to wait for an answer to what is said from now on."""
        self._heard_answer, self._unheard_at = False, None

    def voiced(self, at: float) -> None:
        """Take note that the user's voice sounded until `at`."""
        burst = self._burst
        if burst is None or at - burst.until > _PHRASE_PAUSE:
            burst = self._burst = _Phrase(at, 0.0)
        burst.until, burst.seconds = at, burst.seconds + _BLOCK_SECONDS
        if burst.seconds >= _CLICK_SECONDS or (self.user_speaking and not self._phrases):
            self._begin_phrase(burst)

    def typed(self, at: float) -> None:
        """Take note that the user typed a line, which replaces what was said before."""
        self.expect()
        self._phrases = [_Phrase(at, _WORD_SECONDS, over_after=0.0)]
        self._noticed, self._understood, self._active_at = True, True, at

    def pressed(self, at: float) -> None:
        """Take note that the user pressed a key."""
        self.expect()
        self._phrases.append(_Phrase(at, 0.0, over_after=0.0, measured=False))
        self._active_at = at

    def _begin_phrase(self, phrase: _Phrase) -> None:
        if any(each is phrase for each in self._phrases):
            return
        if not self._phrases:
            self._noticed, self._understood = self.user_speaking or not self._reports, False
        self._phrases.append(phrase)

    def _notice(self) -> None:
        self._noticed = True
        if self._burst is not None and not self._phrases:
            self._begin_phrase(self._burst)

    # The agent

    def receive(self, event: Delivery, at: float) -> None:
        """Take in what the agent reports."""
        self._active_at = at
        match event:
            case Connected(_, reports):
                self.connected = True
                if not reports:
                    self._reports, self._noticed = False, True
            case Disconnected():
                self._repeats = self.answering
                self.connected = self.user_speaking = False
                self._end_reply()
                self._tools.clear()
            case pipecat_frames.Interruption() | rtvi.BotInterrupted():
                self._end_reply()
                self._sounded_at = None
            case rtvi.UserStarted():
                self.user_speaking = True
                self._sounded_at = None
                self._notice()
            case rtvi.UserStopped():
                self.user_speaking = False
            case rtvi.UserTranscription():
                self._notice()
                self._understood = bool(self._phrases)
            case _:
                self._receive_reply(event, at)

    def _receive_reply(self, event: Delivery, at: float) -> None:
        match event:
            case rtvi.BotThinking():
                self._generating = True
                self._begin_reply(at)
            case rtvi.BotThought():
                self._generating, self._reports_thoughts = False, True
            case rtvi.SpeechStarted():
                self._speaking = True
                self._continue_reply(at)
            case rtvi.SpeechStopped():
                self._speaking = False
            case rtvi.BotStarted():
                self.bot_speaking = True
                self._continue_reply(at)
            case rtvi.BotStopped():
                self.bot_speaking = False
                self._generating = self._generating and self._reports_thoughts
                self._reply_said = not self._replying
            case rtvi.ToolStarted(call):
                self._tools.add(call)
            case rtvi.ToolStopped(call):
                self._tools.discard(call)
            case rtvi.BotOutput():
                self.active = True
            case _:
                pass

    def _continue_reply(self, at: float) -> None:
        if self._reply_said or not self._reply_open:
            self._begin_reply(at)

    def _begin_reply(self, at: float) -> None:
        self.active = self._reply_open = self._reports_replies = True
        self._repeats = self._reply_said = False
        self._reply_to = self._last_ended(at)
        if self._reply_to is not None:
            self._understood = True
        if self._sounded_at is not None and at - self._sounded_at > _PAUSE_SECONDS:
            self._fresh_at = None  # sound of long ago is not its own

    def _end_reply(self) -> None:
        self.bot_speaking = self._generating = self._speaking = False
        self._reply_open, self._reply_to, self._fresh_at = False, None, None

    def _last_ended(self, at: float) -> float | None:
        over = (each.until for each in self._phrases if each.until + each.over_after <= at)
        return max(over, default=None) if self._noticed else None

    # Sound

    def outcome_told(self, heard: bool, at: float) -> None:
        """Take note that the agent has told the outcome of a sound of the user."""
        self._unheard_at = None if heard else at

    def tick(self, at: float, playing: bool) -> None:
        """Let time pass; `playing` while the agent's audio sounds here."""
        if playing:
            self._active_at = at
        if self.settled(at):
            self._reply_open = False

    def sounded(self, began: float, at: float) -> None:
        """Take note of the agent's sound, which arrived at `at` and begins at `began`."""
        if self._sounded_at is None or at - self._sounded_at > _PAUSE_SECONDS:
            self._fresh_at = began
        if not self._reports_thoughts:
            self._generating = False
        self.active, self._repeats = True, False
        self._sounded_at = self._active_at = at

    def take_answer(self) -> Answer | None:
        """Return the answer that has begun to sound, once."""
        began, heard_at = self._fresh_at, self._sounded_at
        if began is None or heard_at is None or (self._reports_replies and not self._reply_open):
            return None
        said_until = self._reply_to if self._reply_open else self._last_ended(heard_at)
        self._fresh_at = None
        answered = [each for each in self._phrases if said_until and each.until <= said_until]
        if not answered:
            return None  # such as a greeting
        self._phrases = self._phrases[len(answered) :]
        self._noticed, self._understood = self.user_speaking or not self._reports, False
        self._heard_answer = True
        if self._burst is answered[-1]:
            self._burst = None
        return Answer(began, answered[-1].until, answered[-1].measured)

"""Owns what a turn consists of: speech, recognition, model, tools, voice, playback.

`Recorder` sees the frames of the pipeline, and passes on each turn when the next one begins: by
then it is known what was said, which turn of the log it is, and whether it was interrupted. So it
keeps one turn at a time, however long the call. Times are nanoseconds since 1970.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage, LLMUsageMetricsData, TTFBMetricsData
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from .. import logs

SECOND = 1_000_000_000
# Sound without words that is older than this does not belong to the turn that follows.
STALE = 5 * SECOND
# Limits of what a turn keeps: a bot may speak for hours without being spoken to.
PARTS = 200
CHARACTERS = 4000

# OpenTelemetry's names for Pipecat's numbers of tokens.
TOKENS = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}

Attributes = dict[str, str | int | float | bool]


@dataclass(eq=False)
class Part:
    """A part of a turn, which becomes a span."""

    name: str
    start: int
    end: int
    attributes: Attributes = field(default_factory=dict)
    error: str = ""
    is_open: bool = False

    def close(self, now: int) -> None:
        """Set the end, unless it is set."""
        if self.is_open:
            self.end, self.is_open = max(self.start, now), False

    def note_first_output(self, now: int) -> None:
        """Note the time to the first output, once."""
        self.attributes.setdefault("metrics.ttfb", round((now - self.start) / SECOND, 4))


@dataclass(eq=False)
class Turn:
    """A turn: what the user said and what the bot did; turn 0 is before the user has spoken."""

    number: int
    start: int
    parts: list[Part] = field(default_factory=list)
    spoken_until: int = 0
    """End of the user's speech; 0 while the user speaks, or if there was none."""
    waits_since: int = 0
    """Since when the turn waits, after that, for the words, and to be complete."""
    attributes: Attributes = field(default_factory=dict)
    error: str = ""
    interrupted: int = 0
    """Time of the interruption; 0 if there was none."""
    context: Any = None
    """Of its span, once it is written: a tool may end later."""

    def add(self, part: Part) -> Part:
        """Keep a part, up to a limit."""
        if len(self.parts) < PARTS:
            self.parts.append(part)
        else:
            left_out = int(self.attributes.get("turn.parts_left_out", 0))
            self.attributes["turn.parts_left_out"] = left_out + 1
        return part

    @property
    def end(self) -> int:
        """The end of its last part."""
        return max((part.end for part in self.parts), default=self.start)


class Spans(Protocol):
    """Writes turns."""

    def write_turn(self, turn: Turn) -> None:
        """Write a turn with its parts, except those that are open."""

    def write_part(self, turn: Turn, part: Part) -> None:
        """Write a part that has ended after its turn."""


class Recorder(BaseObserver):
    """Makes turns of a pipeline's frames."""

    def __init__(
        self,
        spans: Spans,
        number: int,
        one_model: bool,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(observe_every_push=False)
        self._spans = spans
        self._one_model = one_model
        self._now = now
        self._offset = now()
        """Time at which the pipeline's clock began."""
        self._turn = Turn(number, self._offset)
        self._next: Turn | None = None
        """The turn of a user who speaks, until the words are known."""
        self._llm: Part | None = None
        self._tts: Part | None = None
        self._playback: Part | None = None
        self._tools: dict[str, tuple[Turn, Part]] = {}
        self._asked = 0
        """Since when the one model has something to answer; 0 if it has not."""
        handlers: dict[type[Frame], Callable[[Any, FrameProcessor, int], None]] = {
            VADUserStartedSpeakingFrame: self._speech_starts,
            VADUserStoppedSpeakingFrame: self._speech_stops,
            RTVISendTextFrame: self._text_comes,
            BotStartedSpeakingFrame: self._playback_starts,
            BotStoppedSpeakingFrame: self._playback_stops,
            LLMFullResponseStartFrame: self._llm_starts,
            LLMFullResponseEndFrame: self._llm_stops,
            TTSAudioRawFrame: self._audio_comes,
            FunctionCallInProgressFrame: self._tool_starts,
            FunctionCallResultFrame: self._tool_returns,
            FunctionCallCancelFrame: self._tool_is_cancelled,
            InterruptionFrame: self._interrupt,
            MetricsFrame: self._count,
            ErrorFrame: self._fail,
        }
        if not one_model:
            handlers |= {
                UserStoppedSpeakingFrame: self._turn_is_detected,
                TranscriptionFrame: self._words_come,
                LLMTextFrame: self._text_is_generated,
                TTSStartedFrame: self._tts_starts,
            }
        self._handlers = handlers

    async def on_push_frame(self, data: FramePushed) -> None:
        """Take note of a frame; most are sound, and pass at once."""
        handle = self._handlers.get(type(data.frame))
        is_copy = data.direction is not FrameDirection.DOWNSTREAM
        if handle is None or (is_copy and data.frame.broadcast_sibling_id is not None):
            return
        # Observers run behind the pipeline: the least delay of all shows when its clock began.
        self._offset = min(self._offset, self._now() - data.timestamp)
        handle(data.frame, data.source, self._offset + data.timestamp)

    # ---- what the log says (observers.py)

    def user_said(self, number: int, text: str) -> None:
        """Write the last turn, and begin the one of these words."""
        now = self._now()
        turn = self._next or Turn(number, now)
        turn.number, self._next = number, None
        turn.attributes |= _quoted("transcript", text)
        # The answer may have begun before the words were logged.
        since = turn.spoken_until or turn.start
        for part in [each for each in self._turn.parts if each.start >= since]:
            self._turn.parts.remove(part)
            turn.add(part)
        for call, (_, part) in self._tools.items():
            if part in turn.parts:
                self._tools[call] = (turn, part)
        self._write(now)
        self._turn = turn

    def agent_said(self, number: int, text: str) -> None:
        """Note what the user has heard of the answer."""
        if number == self._turn.number:
            said = self._turn.attributes.get("output", "")
            self._turn.attributes |= _quoted("output", f"{said} {text}".strip())

    def finish(self) -> None:
        """Write what is left at the end of the connection."""
        now = self._now()
        for call in list(self._tools):
            self._tool_ends(call, now, "cancelled")
        self._write(now)

    def _write(self, now: int) -> None:
        running = [part for _, part in self._tools.values()]
        for part in self._turn.parts:
            if part not in running:
                part.close(now)
        if self._turn.parts or self._turn.attributes:
            self._spans.write_turn(self._turn)

    # ---- the user

    def _speech_starts(self, frame: VADUserStartedSpeakingFrame, _: object, now: int) -> None:
        start = now - int(frame.start_secs * SECOND)
        if self._next is None or start - self._next.end > STALE:
            self._next = Turn(0, start)
        if not any(part.name == "speech" and part.is_open for part in self._next.parts):
            self._next.spoken_until = 0
            self._next.add(Part("speech", start, now, is_open=True))

    def _speech_stops(self, frame: VADUserStoppedSpeakingFrame, _: object, now: int) -> None:
        user = self._next or self._turn
        for part in [each for each in user.parts if each.name == "speech" and each.is_open]:
            user.spoken_until = self._asked = now - int(frame.stop_secs * SECOND)
            user.waits_since = now
            part.close(user.spoken_until)
            if not self._one_model:  # which decides by itself when to answer
                user.add(Part("endpointing", user.spoken_until, now))

    def _turn_is_detected(self, _: object, __: object, now: int) -> None:
        user = self._next or self._turn
        if user.spoken_until:
            user.add(Part("turn_detection", user.waits_since, now))

    def _words_come(self, frame: TranscriptionFrame, source: FrameProcessor, now: int) -> None:
        user = self._next or self._turn
        attributes = _service(source, "stt") | _quoted("transcript", frame.text)
        start = user.waits_since if user.spoken_until else now
        user.waits_since = now
        user.add(Part("stt", start, now, attributes))

    def _text_comes(self, _: object, __: object, now: int) -> None:
        self._next = self._next or Turn(0, now)
        self._asked = now

    # ---- the bot

    def _llm_starts(self, _: object, source: FrameProcessor, now: int) -> None:
        start, self._asked = (self._asked or now) if self._one_model else now, 0
        self._llm = self._turn.add(Part("llm", start, now, _service(source, "chat"), is_open=True))

    def _text_is_generated(self, _: object, __: object, now: int) -> None:
        if self._llm:
            self._llm.note_first_output(now)

    def _llm_stops(self, _: object, __: object, now: int) -> None:
        if self._llm:
            self._llm.close(now)

    def _tts_starts(self, _: object, source: FrameProcessor, now: int) -> None:
        if isinstance(source, TTSService):
            self._tts = self._turn.add(Part("tts", now, now, _service(source, "tts")))

    def _audio_comes(self, _: object, source: FrameProcessor, now: int) -> None:
        part = self._tts if isinstance(source, TTSService) else None
        if self._one_model and isinstance(source, LLMService):
            part = self._llm
        if part:
            part.note_first_output(now)
            part.end = now

    def _playback_starts(self, _: object, __: object, now: int) -> None:
        turn = self._next if self._next and self._next.spoken_until else self._turn
        asked = turn.spoken_until
        if asked and "turn.user_bot_latency_seconds" not in turn.attributes:
            turn.attributes["turn.user_bot_latency_seconds"] = round((now - asked) / SECOND, 4)
        self._playback = self._turn.add(Part("playback", now, now, is_open=True))

    def _playback_stops(self, _: object, __: object, now: int) -> None:
        if self._playback:
            self._playback.close(now)
            self._playback = None

    def _interrupt(self, _: object, __: object, now: int) -> None:
        cut = [part for part in (self._llm, self._playback) if part and part.is_open]
        for part in cut:
            part.close(now)
            part.attributes["interrupted"] = True
        if cut:
            self._turn.interrupted = now
        self._llm = self._tts = self._playback = None

    # ---- tools

    def _tool_starts(self, frame: FunctionCallInProgressFrame, source: Any, now: int) -> None:
        if self._one_model and self._asked:
            self._turn.add(Part("llm", self._asked, now, _service(source, "chat")))
            self._asked = 0
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": frame.function_name,
            "gen_ai.tool.call.id": frame.tool_call_id,
        } | _quoted("gen_ai.tool.call.arguments", _json(frame.arguments))
        part = Part(f"execute_tool {frame.function_name}", now, now, attributes, is_open=True)
        self._tools[frame.tool_call_id] = (self._turn, self._turn.add(part))

    def _tool_returns(self, frame: FunctionCallResultFrame, _: object, now: int) -> None:
        if frame.properties and not frame.properties.is_final:
            return
        outcome = "failed" if frame.error else "completed"
        self._tool_ends(frame.tool_call_id, now, outcome, frame.error or "", frame.result)

    def _tool_is_cancelled(self, frame: FunctionCallCancelFrame, _: object, now: int) -> None:
        # Of all that cancel a call, only its time limit asks the model for another answer.
        outcome = "timed_out" if frame.run_llm else "cancelled"
        self._tool_ends(frame.tool_call_id, now, outcome, "timed out" if frame.run_llm else "")

    def _tool_ends(
        self, call: str, now: int, outcome: str, error: str = "", result: object = None
    ) -> None:
        turn, part = self._tools.pop(call, (None, None))
        if turn is None or part is None:
            return
        part.close(now)
        part.error = error[:CHARACTERS]
        part.attributes["outcome"] = outcome
        part.attributes |= _quoted("gen_ai.tool.call.result", _json(result) if result else "")
        self._asked = now
        if turn.context is not None:
            self._spans.write_part(turn, part)

    # ---- figures and errors

    def _count(self, frame: MetricsFrame, source: FrameProcessor, _: int) -> None:
        of_llm = isinstance(source, LLMService)
        part = self._llm if of_llm else self._tts if isinstance(source, TTSService) else None
        for figure in frame.data:
            if part and figure.model:
                part.attributes["gen_ai.request.model"] = figure.model
            if isinstance(figure, LLMUsageMetricsData):
                # Nova Sonic reports tokens also while it is not answering.
                owner = part if part and part.is_open else self._turn
                _add_tokens(owner.attributes, figure.value)
            elif isinstance(figure, TTFBMetricsData) and part and of_llm and figure.value > 0:
                part.attributes["metrics.ttfb"] = round(figure.value, 4)

    def _fail(self, frame: ErrorFrame, _: object, __: int) -> None:
        self._turn.error = self._turn.error or frame.error[:CHARACTERS]


def _add_tokens(attributes: Attributes, usage: LLMTokenUsage) -> None:
    for name, attribute in TOKENS.items():
        if count := getattr(usage, name, None):
            attributes[attribute] = int(attributes.get(attribute, 0)) + count


def _quoted(name: str, text: str) -> Attributes:
    """Return an attribute that quotes the conversation; none if LOG_TRANSCRIPTS=false."""
    return logs.spoken(**{name: text[:CHARACTERS]}) if text else {}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _service(processor: object, operation: str) -> Attributes:
    """Return what tells the service that did the work."""
    modules = (kind.__module__.split(".") for kind in type(processor).__mro__)
    provider = next((names[2] for names in modules if names[:2] == ["pipecat", "services"]), "")
    if provider == "aws" and operation == "chat":
        provider = "aws.bedrock"
    own = type(processor).__name__
    is_base = provider.endswith("_service")  # pipecat/services/llm_service.py: the bot's own
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": own.lower() if is_base or not provider else provider,
        "service": own,
    }

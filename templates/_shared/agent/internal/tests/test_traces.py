"""The trace of a call: its turns, and the parts of each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
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
from pipecat.metrics.metrics import LLMTokenUsage, LLMUsageMetricsData
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from .. import logs
from ..observers import TurnLog
from ..traces.spans import ConnectionTrace, to_file
from ..traces.turns import PARTS, SECOND, Part, Recorder, Turn

START = 1_800_000_000 * SECOND


class Model(LLMService):
    """A language model, or a model that speaks."""


class Voice(TTSService):
    """A voice."""

    async def run_tts(self, text: str, context_id: str):  # noqa: ANN201 - an empty generator
        """Say nothing."""
        return
        yield


class Written:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.late: list[Part] = []

    def write_turn(self, turn: Turn) -> None:
        """Keep a turn."""
        turn.context = object()
        self.turns.append(turn)

    def write_part(self, turn: Turn, part: Part) -> None:
        """Keep a part that ends after its turn."""
        self.late.append(part)


class Played:
    """A recorder that has seen frames, or words of the log, at given seconds."""

    def __init__(self, one_model: bool = False) -> None:
        self.seconds = 0.0
        self.written = Written()
        self.recorder = Recorder(self.written, 0, one_model, self.now)
        # Only the types count, and a model cannot be made without the package of its provider.
        self._model: FrameProcessor = Model.__new__(Model)
        self._voice = self._model if one_model else Voice.__new__(Voice)

    def now(self) -> int:
        """Return the time."""
        return START + round(self.seconds * SECOND)

    def play(self, events: Iterable[tuple[float, Frame | str]]) -> Sequence[Turn]:
        """Play frames and words, "user: ..." or "agent: ...", and return the turns."""
        number = 0
        for self.seconds, event in events:
            if isinstance(event, Frame):
                asyncio.run(self.recorder.on_push_frame(self._pushed(event)))
            elif event.startswith("user: "):
                number += 1
                self.recorder.user_said(number, event.removeprefix("user: "))
            else:
                self.recorder.agent_said(number, event.removeprefix("agent: "))
        self.recorder.finish()
        return self.written.turns

    def _pushed(self, frame: Frame) -> FramePushed:
        is_voice = isinstance(frame, TTSStartedFrame | TTSAudioRawFrame)
        source = self._voice if is_voice else self._model
        clock = round(self.seconds * SECOND)
        return FramePushed(source, source, frame, FrameDirection.DOWNSTREAM, clock)


def times(turn: Turn) -> dict[str, tuple[float, float]]:
    """Return begin and end of each part, in seconds."""
    return {
        part.name: (round((part.start - START) / SECOND, 3), round((part.end - START) / SECOND, 3))
        for part in turn.parts
    }


def audio() -> TTSAudioRawFrame:
    return TTSAudioRawFrame(b"", 24_000, 1)


def question(at: float, words: str) -> list[tuple[float, Frame | str]]:
    """Return a question of one second; Pipecat reports both ends of speech twice."""
    return [
        (at + 0.2, VADUserStartedSpeakingFrame(start_secs=0.2)),
        (at + 0.2, VADUserStartedSpeakingFrame(start_secs=0.2)),
        (at + 1.2, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
        (at + 1.2, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
        (at + 1.3, TranscriptionFrame(words, user_id="", timestamp="")),
        (at + 1.4, UserStoppedSpeakingFrame()),
        (at + 1.4, f"user: {words}"),
    ]


def answer(at: float, words: str) -> list[tuple[float, Frame | str]]:
    """Return an answer that is played for a second."""
    return [
        (at, LLMFullResponseStartFrame()),
        (at + 0.1, LLMTextFrame(words)),
        (at + 0.2, LLMFullResponseEndFrame()),
        (at + 0.2, TTSStartedFrame()),
        (at + 0.3, audio()),
        (at + 0.35, BotStartedSpeakingFrame()),
        (at + 0.5, audio()),
        (at + 1.35, BotStoppedSpeakingFrame()),
        (at + 1.35, f"agent: {words}"),
    ]


def test_turn_has_its_parts_with_their_times() -> None:
    greeting, turn = Played().play(
        [*answer(0, "Hello!"), *question(10, "Six times seven?"), *answer(11.4, "42.")]
    )
    assert greeting.number == 0 and greeting.attributes["output"] == "Hello!"
    assert turn.number == 1
    assert turn.attributes["transcript"] == "Six times seven?"
    assert turn.attributes["output"] == "42."
    assert turn.attributes["turn.user_bot_latency_seconds"] == 0.75
    assert len(turn.parts) == 7
    assert times(turn) == {
        "speech": (10, 11),
        "endpointing": (11, 11.2),
        "stt": (11.2, 11.3),
        "turn_detection": (11.3, 11.4),
        "llm": (11.4, 11.6),
        "tts": (11.6, 11.9),
        "playback": (11.75, 12.75),
    }
    first = {part.name: part.attributes.get("metrics.ttfb") for part in turn.parts}
    assert (first["llm"], first["tts"]) == (0.1, 0.1)


def test_answer_that_begins_before_its_question_is_logged_belongs_to_it() -> None:
    asked = question(10, "Six times seven?")
    *heard, logged = asked
    begun, *spoken = answer(11.4, "42.")
    _, turn = Played().play([*answer(0, "Hello!"), *heard, begun, logged, *spoken])
    assert times(turn)["llm"] == (11.4, 11.6)


def test_interruption_ends_playback_and_marks_the_turn() -> None:
    *begun, _, _ = answer(11.4, "A long story.")
    _, cut, after = Played().play(
        [
            *answer(0, "Hello!"),
            *question(10, "Tell me a story."),
            *begun,
            (12.2, VADUserStartedSpeakingFrame(start_secs=0.2)),
            (12.2, InterruptionFrame()),
            (12.2, "agent: A long"),
            *question(12.2, "Stop.")[2:],
        ]
    )
    assert cut.interrupted == START + round(12.2 * SECOND)
    assert cut.attributes["output"] == "A long"
    assert times(cut)["playback"] == (11.75, 12.2)
    assert times(after)["speech"] == (12, 13.2)


def test_model_that_speaks_has_spans_too() -> None:
    tokens = LLMTokenUsage(prompt_tokens=30, completion_tokens=12, total_tokens=42)
    usage = MetricsFrame([LLMUsageMetricsData(processor="", model="nova", value=tokens)])
    call = FunctionCallInProgressFrame("opening_hours", "1", {"day": "Sunday"})
    result = FunctionCallResultFrame("opening_hours", "1", {}, {"hours": "noon"})
    _, turn = Played(one_model=True).play(
        [
            (1, LLMFullResponseStartFrame()),
            (2, LLMFullResponseEndFrame()),
            (10.2, VADUserStartedSpeakingFrame(start_secs=0.2)),
            (11.2, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
            (11.4, "user: When do you open on Sunday?"),
            (11.5, call),
            (11.8, result),
            (12.0, LLMFullResponseStartFrame()),
            (12.2, audio()),
            (12.2, usage),
            (12.3, BotStartedSpeakingFrame()),
            (12.6, LLMFullResponseEndFrame()),
            (13, BotStoppedSpeakingFrame()),
        ]
    )
    heard, answered = (part for part in turn.parts if part.name == "llm")
    seconds = [(each.start - START, each.end - START) for each in (heard, answered)]
    assert [(a / SECOND, b / SECOND) for a, b in seconds] == [(11, 11.5), (11.8, 12.6)]
    assert answered.attributes["gen_ai.usage.input_tokens"] == 30
    assert answered.attributes["gen_ai.usage.output_tokens"] == 12
    assert answered.attributes["gen_ai.request.model"] == "nova"
    assert answered.attributes["metrics.ttfb"] == 0.4
    assert times(turn)["execute_tool opening_hours"] == (11.5, 11.8)


def test_tool_that_fails_after_its_turn_is_written_with_its_error() -> None:
    played = Played()
    call = FunctionCallInProgressFrame("slow", "1", {}, cancel_on_interruption=False)
    failed = FunctionCallResultFrame("slow", "1", {}, "The function failed", error="no network")
    turns = played.play(
        [
            *question(1, "Look it up."),
            (2.5, call),
            *question(10, "And the weather?"),
            (12, failed),
        ]
    )
    assert "execute_tool slow" in times(turns[0])
    (part,) = played.written.late
    assert part.error == "no network" and part.attributes["outcome"] == "failed"
    assert (part.end - part.start) / SECOND == 9.5


def test_tool_that_runs_at_the_end_of_a_call_is_cancelled() -> None:
    played = Played()
    call = FunctionCallInProgressFrame("slow", "1", {}, cancel_on_interruption=False)
    played.play([*question(1, "Look it up."), (2.5, call), *question(10, "Goodbye.")])
    (part,) = played.written.late
    assert part.attributes["outcome"] == "cancelled" and not part.error


def test_error_of_a_service_is_the_turns() -> None:
    (turn,) = Played().play([*question(1, "Hello?"), (3, ErrorFrame("AWS refused the request"))])
    assert turn.error == "AWS refused the request"


def test_noise_is_no_turn() -> None:
    (turn,) = Played().play(
        [
            (1, VADUserStartedSpeakingFrame(start_secs=0.2)),
            (2, VADUserStoppedSpeakingFrame(stop_secs=0.2)),
            *question(60, "Hello?"),
        ]
    )
    assert times(turn)["speech"] == (60, 61)


def test_turn_that_never_ends_keeps_a_limited_number_of_parts() -> None:
    (turn,) = Played().play([(second, TTSStartedFrame()) for second in range(10 * PARTS)])
    assert len(turn.parts) == PARTS
    assert turn.attributes["turn.parts_left_out"] == 9 * PARTS


def test_nothing_that_was_said_is_in_a_trace_without_transcripts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "TRANSCRIPTS", False)
    call = FunctionCallInProgressFrame("look_up", "1", {"name": "secret"})
    result = FunctionCallResultFrame("look_up", "1", {}, "secret")
    turns = Played().play([*question(1, "secret"), *answer(3, "secret"), (6, call), (7, result)])
    assert len(turns) == 1
    assert "secret" not in str([turns[0].attributes, [part.attributes for part in turns[0].parts]])


class Hanging(SpanExporter):
    """An exporter whose network never answers."""

    def __init__(self) -> None:
        self.released = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hang."""
        self.released.wait(60)
        return SpanExportResult.SUCCESS


def test_exporter_that_hangs_delays_nothing() -> None:
    exporter = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    batches = BatchSpanProcessor(exporter, max_queue_size=100, max_export_batch_size=10)
    provider.add_span_processor(batches)
    trace = ConnectionTrace(provider, TurnLog(), "websocket", False)
    begin = time.monotonic()
    for number in range(100):
        trace.write_turn(Turn(number, START, [Part("llm", START, START + SECOND)]))
    asyncio.run(trace.end(reason="client left"))
    assert time.monotonic() - begin < 5
    exporter.released.set()
    provider.shutdown()


def test_file_of_spans_is_its_owners_only(tmp_path: Path) -> None:
    provider = to_file(tmp_path / "traces")
    turns = TurnLog(count=2)
    trace = ConnectionTrace(provider, turns, "websocket", False)
    trace.write_turn(Turn(2, START, [Part("llm", START, START + SECOND, error="refused")]))
    asyncio.run(trace.end(reason="client left"))
    provider.shutdown()
    (file,) = (tmp_path / "traces").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    part, turn, conversation = map(json.loads, file.read_text("utf-8").splitlines())
    assert [each["name"] for each in (part, turn, conversation)] == ["llm", "turn", "conversation"]
    assert part["parent_id"] == turn["context"]["span_id"]
    assert turn["parent_id"] == conversation["context"]["span_id"]
    assert part["status"]["status_code"] == "ERROR"
    assert conversation["attributes"]["reason"] == "client left"
    assert len({each["context"]["trace_id"] for each in (part, turn, conversation)}) == 1

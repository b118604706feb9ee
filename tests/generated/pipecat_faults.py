"""Faults of Pipecat 1.14 that agents work around. If a test fails, Pipecat has fixed one."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import AsyncGenerator

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.observers.function_call_observer import FunctionCallObserver
from pipecat.observers.turn_tracking_observer import TurnTrackingObserver
from pipecat.observers.user_bot_latency_observer import UserBotLatencyObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import IdleFrameObserver, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIObserver, RTVIObserverParams
from pipecat.services.llm_service import FunctionCallFromLLM, FunctionCallParams, LLMService
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import SleepFrame, run_test

WINDOW = 512  # samples


class Detector(VADAnalyzer):
    """Takes whatever is not silence for speech."""

    def num_frames_required(self) -> int:
        return WINDOW

    def voice_confidence(self, buffer: bytes) -> float:
        return float(any(buffer))


def test_detector_stays_in_speech_when_audio_stops() -> None:
    """If this fails, sound_input.py may no longer need to fill gaps with silence.

    https://github.com/pipecat-ai/pipecat/issues/4124: then any sound of 32 ms begins a turn.
    """

    def heard(level: int) -> list[Frame]:
        audio = np.full(WINDOW, level, "<i2").tobytes()
        return [InputAudioRawFrame(audio, 16_000, 1) for _ in range(12)]

    detector = Detector(params=VADParams(start_secs=0.1, stop_secs=0.2, min_volume=0))
    frames, _ = asyncio.run(
        run_test(
            VADProcessor(vad_analyzer=detector, audio_idle_timeout=0.2),
            frames_to_send=[
                *heard(9000),
                SleepFrame(0.6),
                heard(9000)[0],
                *heard(0),
                SleepFrame(0.1),
            ],
        )
    )
    assert sum(isinstance(frame, VADUserStartedSpeakingFrame) for frame in frames) == 2


class Witness(Detector):
    """Notes in which thread it judges, and how often its audio's loudness is measured."""

    def __init__(self) -> None:
        super().__init__(params=VADParams(min_volume=0))
        self.threads: set[int] = set()
        self.measured = 0

    def voice_confidence(self, buffer: bytes) -> float:
        self.threads.add(threading.get_ident())
        return super().voice_confidence(buffer)

    def _get_smoothed_volume(self, audio: bytes) -> float:
        self.measured += 1
        return super()._get_smoothed_volume(audio)


def test_detector_changes_threads_and_measures_what_nothing_needs() -> None:
    """If this fails, hearing.py may no longer need its own analyze_audio, or loudness."""
    detector = Witness()
    detector.set_sample_rate(16_000)
    asyncio.run(detector.analyze_audio(bytes(2 * WINDOW)))
    assert threading.get_ident() not in detector.threads
    assert detector.measured == 1


def test_worker_has_no_option_for_what_observers_are_told() -> None:
    """If this fails, audio_cost.py may no longer need its own Worker."""
    options = inspect.signature(PipelineWorker.__init__).parameters
    about = {name for name in options if "observer" in name}
    assert about == {"observers", "rtvi_observer_params"}


def test_worker_adds_its_observers_to_the_list_it_is_given() -> None:
    """If this fails, audio_cost.py has to find them elsewhere."""
    observers: list[BaseObserver] = [BaseObserver()]
    PipelineWorker(Pipeline([]), observers=observers)
    kinds = {type(each) for each in observers}
    assert {RTVIObserver, IdleFrameObserver, TurnTrackingObserver} <= kinds


def test_observers_ignore_the_callers_audio_and_what_is_passed_on() -> None:
    """If this fails, audio_cost.py has to tell them of more."""
    for observer in (IdleFrameObserver, TurnTrackingObserver, FunctionCallObserver):
        assert "Audio" not in inspect.getsource(observer)
    levels = RTVIObserverParams()
    assert not (levels.user_audio_level_enabled or levels.bot_audio_level_enabled)
    latency = re.findall(r"isinstance.*Audio.*\n(.*)", inspect.getsource(UserBotLatencyObserver))
    assert len(latency) == 1 and "once=True" in latency[0]


class SlowSpeech(TTSService):
    """Needs longer for a sentence than Pipecat waits."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        await asyncio.sleep(0.5)
        yield TTSAudioRawFrame(bytes(640), 16_000, 1, context_id=context_id)


def test_slow_sentence_counts_as_one_without_audio() -> None:
    """If this fails, speech.py of the offline pipeline may no longer need SYNTHESIS_SECONDS."""
    speech = SlowSpeech(
        stop_frame_timeout_s=0.1,
        push_start_frame=True,
        settings=TTSSettings(model="", voice="", language=None),
    )
    _, errors = asyncio.run(
        run_test(speech, frames_to_send=[TTSSpeakFrame("Hello."), SleepFrame(0.8)])
    )
    assert any(
        isinstance(frame, ErrorFrame) and "completed with no audio" in frame.error
        for frame in errors
    )


class Model(LLMService):
    """Says a sentence, and calls a tool."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        call = FunctionCallFromLLM(
            function_name="look", tool_call_id="1", arguments={}, context=frame.context
        )
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame("One moment, let me look. "))
        await self.run_function_calls([call])
        await self.push_frame(LLMFullResponseEndFrame())


async def look(_: FunctionCallParams) -> None:
    await asyncio.sleep(5)


def test_tool_that_is_cancelled_as_it_begins_stays_in_progress() -> None:
    """If this fails, conversation.py may no longer need note_cancelled."""
    context, model = LLMContext(), Model()
    model.register_function("look", look)
    speech = SlowSpeech(
        push_start_frame=True, settings=TTSSettings(model="", voice="", language=None)
    )
    steps = Pipeline([model, speech, LLMContextAggregatorPair(context).assistant()])
    frames = [LLMContextFrame(context), SleepFrame(0.2), InterruptionFrame(), SleepFrame(0.3)]
    asyncio.run(run_test(steps, frames_to_send=frames))
    assert [each.get("content") for each in context.get_messages()] == [None, "IN_PROGRESS"]

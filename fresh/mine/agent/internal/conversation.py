"""Owns a session's conversation: its history, and the connections that carry it.

AgentCore gives each session its own process, and a WebSocket at most 60 minutes. So the
conversation outlives its connections: a caller who reconnects continues where the last connection
stopped, and hears an answer that was cut off again.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.aggregators.llm_context import (
    LLMContext,
    LLMContextMessage,
    LLMSpecificMessage,
)
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

import bot

from . import logs
from .observers import TurnLog, observers

# AgentCore bills a session for as long as it runs, so 5 minutes of silence end it.
SILENCE_SECONDS = 300


class Conversation:
    """One session's conversation: its history, its turns, and its current connection."""

    def __init__(self) -> None:
        self.context = LLMContext(tools=[*bot.TOOLS])
        self.turns = TurnLog()
        self._spare: LLMContextAggregatorPair | None = None
        """Aggregators for the next connection, with their models loaded."""
        self._worker: PipelineWorker | None = None
        self._ended = ""
        """Reason for the end of the connection; empty while it lasts."""
        self._user_is_speaking = False
        self._finished: int | None = None
        """Number of messages of finished turns, if the connection ended within a turn."""
        self._connections = 0
        self._one_at_a_time = asyncio.Lock()

    async def prepare(self) -> None:
        """Create the aggregators of the first connection. A snapshot must not contain them."""
        async with self._one_at_a_time:
            self._spare = self._spare or await asyncio.to_thread(self._new_aggregators)

    async def hold(self, transport: BaseTransport, name: str) -> None:
        """Talk over `transport` until its client leaves or a newer connection replaces it."""
        self._connections += 1
        me = self._connections
        left = asyncio.Event()
        # Registered at once: a client may leave before the last connection has ended.
        transport.add_event_handler("on_client_disconnected", lambda *_: left.set())
        if self._worker:
            await self._end(self._worker, "replaced by a newer connection")
        async with self._one_at_a_time:
            if me == self._connections and not left.is_set():
                pair, self._spare = self._spare or self._new_aggregators(), None
                try:
                    await self._talk(transport, name, pair, left)
                finally:
                    # In a thread: it takes 0.15 s, which would delay a new connection.
                    self._spare = await asyncio.to_thread(self._new_aggregators)

    def _new_aggregators(self) -> LLMContextAggregatorPair:
        gc.collect()  # the models of the last pair take 30 MB
        return LLMContextAggregatorPair(self.context, user_params=bot.listening())

    async def _talk(
        self,
        transport: BaseTransport,
        name: str,
        pair: LLMContextAggregatorPair,
        left: asyncio.Event,
    ) -> None:
        turns_before, start = self.turns.count, time.monotonic()
        logs.write("session_started", transport=name, resumed=bool(self._messages()))
        self._ended, self._user_is_speaking, self._finished = "", False, None

        async def send(message: dict[str, Any]) -> None:
            await worker.rtvi.send_server_message(message)

        playback = Playback(transport.output())
        self._report_turns(pair)
        worker = self._worker = PipelineWorker(
            bot.pipeline(transport, pair),
            params=PipelineParams(enable_metrics=True),
            observers=[playback, TypedText(self.turns), *observers(self.turns, send)],
            idle_timeout_secs=SILENCE_SECONDS,
            # Hang up after refused credentials and the like, rather than leave the call silent.
            processor_unusable_policy=ProcessorUnusablePolicy.END,
        )

        @transport.event_handler("on_client_connected")
        async def on_connected(*_: object) -> None:
            await worker.queue_frames(self._opening())

        @worker.event_handler("on_idle_timeout")
        async def on_idle(*_: object) -> None:
            self._ended = self._ended or "silence"

        @worker.event_handler("on_pipeline_error")
        async def on_error(_: object, error: ErrorFrame) -> None:
            if error.processor and not error.processor.is_usable:
                self._ended = self._ended or "a service failed"

        async def end() -> None:
            await left.wait()
            await self._end(worker, "client left")

        leaving = asyncio.create_task(end())
        runner = WorkerRunner(handle_sigint=False)
        try:
            await runner.add_workers(worker)
            await runner.run()
        finally:
            leaving.cancel()
            self._worker = None
            finished = self._messages()[: self._finished]
            self.context.set_messages(heard_by_user(finished, cut=playback.was_cut))
            logs.write(
                "session_ended",
                reason=self._ended or "ended by the bot",
                seconds=round(time.monotonic() - start, 1),
                turns=self.turns.count - turns_before,
            )

    async def _end(self, worker: PipelineWorker, reason: str) -> None:
        self._ended = self._ended or reason
        if self._user_is_speaking:
            # Pipecat keeps the half that was heard; the client will send all of it again.
            self._finished = len(self._messages())
        await worker.cancel(reason=reason)

    def _opening(self) -> list[Frame]:
        """Return the first frames of a connection: a greeting, a pending answer, or none."""
        messages = self._messages()
        if not messages:
            return bot.greeting()
        # The model needs the history in any case; it speaks if the last message is the user's.
        return [LLMRunFrame()]

    def _messages(self) -> list[LLMContextMessage]:
        return self.context.get_messages()

    def _report_turns(self, pair: LLMContextAggregatorPair) -> None:
        @pair.user().event_handler("on_user_turn_started")
        async def on_started(*_: object) -> None:
            self._user_is_speaking = True

        @pair.user().event_handler("on_user_turn_stopped")
        async def on_stopped(*_: object) -> None:
            self._user_is_speaking = False

        @pair.assistant().event_handler("on_assistant_turn_stopped")
        async def on_assistant(_: object, message: AssistantTurnStoppedMessage) -> None:
            if message.content or message.interrupted:
                self.turns.agent_said(message.content, message.interrupted)


def warm_up() -> None:
    """Build a pipeline and run its models once, so that the first caller does not wait for them.

    Saves the first caller 1.5 s of the offline agent on one core.
    """
    pair = LLMContextAggregatorPair(LLMContext(), user_params=bot.listening())
    bot.pipeline(NoCaller(), pair)
    asyncio.run(hear_silence(pair.user()))


async def hear_silence(aggregator: FrameProcessor) -> None:
    """Present 0.2 s of silence as an utterance, which each model has to judge."""
    worker = PipelineWorker(Pipeline([aggregator]))
    utterance = [
        VADUserStartedSpeakingFrame(),
        InputAudioRawFrame(bytes(6400), sample_rate=16_000, num_channels=1),
        VADUserStoppedSpeakingFrame(stop_secs=0.2),
    ]
    await worker.queue_frames([*utterance, EndFrame()])
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


class NoCaller(BaseTransport):
    """A transport without a caller."""

    def input(self) -> FrameProcessor:
        """Return an input that never hears anything."""
        return FrameProcessor()

    def output(self) -> FrameProcessor:
        """Return an output that plays nothing."""
        return FrameProcessor()


class Playback(BaseObserver):
    """Tracks whether the client has heard all audio that was sent to it.

    The transport sends faster than real time, so a disconnect may cut the last audio.
    """

    def __init__(self, output: FrameProcessor) -> None:
        super().__init__()
        self._output = output
        self._until = 0.0
        self.was_cut = False
        """True when the client had not heard all audio at the last frame."""

    async def on_push_frame(self, data: FramePushed) -> None:
        frame = data.frame
        now = time.monotonic()
        if isinstance(frame, OutputAudioRawFrame) and data.source is self._output:
            seconds = frame.num_frames / frame.sample_rate
            self._until = max(self._until, now) + seconds
        elif isinstance(frame, InterruptionFrame):
            self._until = now
        self.was_cut = self._until > now


class TypedText(BaseObserver):
    """Counts text that the user typed or spoke as a turn."""

    def __init__(self, turns: TurnLog) -> None:
        super().__init__(observe_every_push=False)
        self._turns = turns

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, RTVISendTextFrame):
            self._turns.user_said(data.frame.text)
        # Speech too: Pipecat adds it to the history only when the answer has begun.
        elif isinstance(data.frame, TranscriptionFrame):
            self._turns.user_said(data.frame.text.strip())


def heard_by_user(messages: list[LLMContextMessage], cut: bool) -> list[LLMContextMessage]:
    """Return the history as the user knows it: without an answer that a disconnect cut off.

    It then ends with the user's words or a tool's result, which is answered again.
    """
    kept = list(messages)
    while cut and kept and is_answer(kept[-1]):
        kept.pop()
    while kept and is_running_tool(kept[-1]):
        del kept[-2:]  # the call too: it has to be made again
    return kept


def is_answer(message: LLMContextMessage) -> bool:
    """Return True for a message of the bot, not of the user or a tool."""
    return (
        not isinstance(message, LLMSpecificMessage)
        and message["role"] == "assistant"
        and "tool_calls" not in message
    )


def is_running_tool(message: LLMContextMessage) -> bool:
    """Return True for the placeholder of a tool that has not finished."""
    return (
        not isinstance(message, LLMSpecificMessage)
        and message["role"] == "tool"
        and message["content"] == "IN_PROGRESS"
    )

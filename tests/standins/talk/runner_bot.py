"""A bot for Pipecat's own development runner: it repeats what it hears.

`python runner_bot.py -t webrtc`, with Pipecat's extras for the transport. It imports nothing of
ours: what is proven with it holds for the bots of others.
"""

from __future__ import annotations

from array import array

from pipecat.evals.transport import EvalTransportParams
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams
from pipecat.workers.runner import WorkerRunner

LOUD = 500
OVER_SECONDS = 0.4
TRANSPORTS = {
    "webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True),
    "websocket": lambda: FastAPIWebsocketParams(
        audio_in_enabled=True, audio_out_enabled=True, serializer=ProtobufFrameSerializer()
    ),
    "eval": lambda: EvalTransportParams(audio_in_enabled=True, audio_out_enabled=True),
}


class Echo(FrameProcessor):
    """Repeats a sound after its end."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = b""
        self._quiet = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        loud = bool(frame.audio) and max(array("h", frame.audio)) > LOUD
        if loud and not self._heard:
            await self.broadcast_frame(UserStartedSpeakingFrame)
        self._quiet = 0.0 if loud else self._quiet + frame.num_frames / frame.sample_rate
        if loud or self._heard:
            self._heard += frame.audio
        if self._heard and self._quiet > OVER_SECONDS:
            await self._repeat(frame.sample_rate)

    async def _repeat(self, rate: int) -> None:
        text = f"{len(self._heard) / 2 / rate:.0f} seconds"
        await self.push_frame(TranscriptionFrame(text, "", ""))
        await self.broadcast_frame(UserStoppedSpeakingFrame)
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSAudioRawFrame(self._heard, rate, 1))
        await self.push_frame(TTSStoppedFrame())
        self._heard = b""


async def bot(runner_args: RunnerArguments) -> None:
    """Hold one conversation; the runner calls this."""
    transport = await create_transport(runner_args, TRANSPORTS)
    worker = PipelineWorker(
        Pipeline([transport.input(), Echo(), transport.output()]),
        params=PipelineParams(audio_in_sample_rate=16_000, audio_out_sample_rate=16_000),
    )

    @transport.event_handler("on_client_disconnected")
    async def end(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()

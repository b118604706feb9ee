"""A typed line that no message can carry is refused before it is sent, with the limit."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from voicecore.console.errors import ExitCode
from voicecore.talk import scripts
from voicecore.talk.audio.call_audio import CallAudio
from voicecore.talk.audio.endpoints import SilentSpeaker
from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.call import LineTooLong, LiveCall
from voicecore.talk.channel import Channel, Connected, Deliver, Note
from voicecore.talk.events import CallEvent
from voicecore.talk.transports import pipecat_frames, rtvi

AGENTCORE_BYTES = 32 * 1024
"""A frame above this is not certain to arrive (AWS: WebSocket page of AgentCore Runtime)."""
LINES = ["x" * 72_000, "x" * 300_000, "é" * 6000, "🙂" * 3000]


class AnsweringChannel(Channel):
    """Answers each line with a sound."""

    greeting_seconds = 0.0

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver)
        self.typed: list[str] = []

    async def run(self) -> None:
        self._deliver(Connected(resumed=False))
        await asyncio.Event().wait()

    def say(self, block: SpeechBlock) -> None:
        pass

    def type(self, text: str) -> None:
        self.typed.append(text)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._deliver, pipecat_frames.Audio(b"\0\x40" * 480, 24_000, 1))

    def turn_finished(self) -> None:
        pass

    async def stop(self) -> None:
        pass


async def lines_of(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


def call(script: Callable[[LiveCall], Awaitable[None]]) -> tuple[list[str], list[CallEvent]]:
    """Hold a call; return the lines that were sent, and what was shown."""
    events: list[CallEvent] = []
    channels: list[AnsweringChannel] = []

    def open_channel(deliver: Deliver, _: Callable[[], bool]) -> Channel:
        channels.append(AnsweringChannel(deliver))
        return channels[0]

    async def hold() -> None:
        buffer = JitterBuffer()
        sink = SilentSpeaker(buffer)
        audio = CallAudio(ScriptedMicrophone(sink), sink, buffer)
        live = LiveCall(open_channel, audio, lambda event, _: events.append(event))
        async with asyncio.timeout(30):
            await live.run(script)

    try:
        asyncio.run(hold())
    except LineTooLong as error:
        assert error.exit_code is ExitCode.USAGE
        assert "32,000" in error.message and "several lines" in str(error.hint)
    return channels[0].typed, events


@pytest.mark.parametrize("line", LINES)
def test_script_with_a_line_that_is_too_long_ends_before_it_is_sent(line: str) -> None:
    typed, _ = call(lambda live: scripts.write(live, lines_of(line, "not reached")))
    assert typed == []


def test_person_is_told_and_can_go_on() -> None:
    typed, events = call(lambda live: scripts.chat(live, lines_of(LINES[0], "hello")))
    assert typed == ["hello"]
    assert [e.text for e in events if isinstance(e, Note)] == [
        "not sent: The typed line has 72,002 bytes, and a message carries 32,000."
    ]


@pytest.mark.parametrize("line", ["x" * 31_998, "é" * 5333, '"' * 15_999])
def test_longest_line_fits_in_a_frame(line: str) -> None:
    typed, _ = call(lambda live: scripts.chat(live, lines_of(line)))
    assert typed == [line]
    message = rtvi.send_text(line)
    assert len(pipecat_frames.encode(pipecat_frames.Message(message))) <= AGENTCORE_BYTES
    assert len(json.dumps(message)) <= AGENTCORE_BYTES

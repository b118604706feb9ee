"""The script of a call: lines that no message can carry, and an agent that hangs up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from voicecore.console.errors import ExitCode
from voicecore.talk import scripts
from voicecore.talk.audio import pcm
from voicecore.talk.audio.call_audio import CallAudio
from voicecore.talk.audio.endpoints import SilentSpeaker
from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.call import LineTooLong, LiveCall
from voicecore.talk.channel import Channel, Connected, Deliver, Note
from voicecore.talk.events import CallEvent, EndedBy
from voicecore.talk.transports import pipecat_frames, rtvi

AGENTCORE_BYTES = 32 * 1024
"""A frame above this is not certain to arrive (AWS: WebSocket page of AgentCore Runtime)."""
GOODBYE, HANG_UP = "goodbye", "hang up"
LINES = ["x" * 72_000, "x" * 300_000, "é" * 6000, "🙂" * 3000]


ANSWER_MS = 200


class AnsweringChannel(Channel):
    """Answers each line with a sound, and hangs up at once after the answer to GOODBYE."""

    greeting_seconds = 0.0

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver)
        self.typed: list[str] = []
        self._left = asyncio.Event()

    async def run(self) -> None:
        self._deliver(Connected(resumed=False))
        await self._left.wait()

    def say(self, block: SpeechBlock) -> None:
        pass

    def type(self, text: str) -> None:
        self.typed.append(text)
        asyncio.get_running_loop().call_soon(self._answer, text)

    def _answer(self, text: str) -> None:
        if text != HANG_UP:
            self._deliver(pipecat_frames.Audio(b"\0\x40" * 24 * ANSWER_MS, 24_000, 1))
        if text in (GOODBYE, HANG_UP):
            self._left.set()

    def turn_finished(self) -> None:
        pass

    async def stop(self) -> None:
        pass


async def lines_of(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


@dataclass
class Held:
    """A call that is over."""

    typed: list[str] = field(default_factory=list[str])
    """Lines that were sent."""
    events: list[CallEvent] = field(default_factory=list[CallEvent])
    ended_by: EndedBy | None = None
    heard_ms: float = 0.0
    """Sound that was played."""


class CountingSpeaker(SilentSpeaker):
    """Counts what is played of the agent's sound."""

    heard_ms = 0.0

    def played(self) -> bytes:
        block = super().played()
        self.heard_ms += np.count_nonzero(pcm.to_array(block)) / 24
        return block


def call(script: Callable[[LiveCall], Awaitable[None]]) -> Held:
    """Hold a call."""
    held = Held()

    def open_channel(deliver: Deliver, _: Callable[[], bool]) -> Channel:
        channel = AnsweringChannel(deliver)
        held.typed = channel.typed
        return channel

    async def hold() -> None:
        buffer = JitterBuffer()
        sink = CountingSpeaker(buffer)
        audio = CallAudio(ScriptedMicrophone(sink), sink, buffer)
        live = LiveCall(open_channel, audio, lambda event, _: held.events.append(event))
        async with asyncio.timeout(30):
            held.ended_by = await live.run(script)
        held.heard_ms = sink.heard_ms

    try:
        asyncio.run(hold())
    except LineTooLong as error:
        assert error.exit_code is ExitCode.USAGE
        assert "32,000" in error.message and "several lines" in str(error.hint)
    return held


@pytest.mark.parametrize("line", LINES)
def test_script_with_a_line_that_is_too_long_ends_before_it_is_sent(line: str) -> None:
    assert call(lambda live: scripts.write(live, lines_of(line, "not reached"))).typed == []


def test_person_is_told_and_can_go_on() -> None:
    held = call(lambda live: scripts.chat(live, lines_of(LINES[0], "hello")))
    assert held.typed == ["hello"]
    assert [e.text for e in held.events if isinstance(e, Note)] == [
        "not sent: The typed line has 72,002 bytes, and a message carries 32,000."
    ]


@pytest.mark.parametrize("line", ["x" * 31_998, "é" * 5333, '"' * 15_999])
def test_longest_line_fits_in_a_frame(line: str) -> None:
    assert call(lambda live: scripts.chat(live, lines_of(line))).typed == [line]
    message = rtvi.send_text(line)
    assert len(pipecat_frames.encode(pipecat_frames.Message(message))) <= AGENTCORE_BYTES
    assert len(json.dumps(message)) <= AGENTCORE_BYTES


@pytest.mark.parametrize(
    ("lines", "ended_by"),
    [
        (["hello", GOODBYE], EndedBy.SCRIPT),
        ([GOODBYE, "not sent"], EndedBy.AGENT),
        (["hello", HANG_UP], EndedBy.AGENT),
    ],
)
def test_agent_that_hangs_up_after_the_last_answer_has_ended_the_script(
    lines: list[str], ended_by: EndedBy
) -> None:
    """Its last words are heard whole. Otherwise, something was not said, or not answered."""
    held = call(lambda live: scripts.write(live, lines_of(*lines)))
    assert held.ended_by is ended_by
    assert held.typed == [line for line in lines if line != "not sent"]
    answers = sum(line in ("hello", GOODBYE) for line in lines)
    assert held.heard_ms == pytest.approx(answers * ANSWER_MS, abs=25)

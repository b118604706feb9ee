"""Owns one call from dialing to hanging up: the user's voice to the agent, and the agent's back."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.audio import pcm, vad
from voicecore.talk.audio.call_audio import CallAudio
from voicecore.talk.audio.endpoints import DuplexBlock
from voicecore.talk.audio.jitter_buffer import SECONDS_MAX
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.audio.vad import VoiceDetector
from voicecore.talk.channel import ChannelFactory, Connected, Delivery, Note
from voicecore.talk.events import CallEvent, EndedBy, SessionNotStopped, UserSaid
from voicecore.talk.first_done import first_done
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.view.transcript import CallTranscript

_REPLY_SECONDS = 8.0
"""An agent that is silent for this long after keys were pressed has only taken note of them."""
_TEXT_MAX = 32_000
"""Bytes of a typed line in JSON: AgentCore's WebSocket page allows 32 KB a frame."""
_GOODBYE_SECONDS = 5.0
"""For DELETE /sessions/{id}; the idle timeout ends a session that cannot be stopped."""
_LAST_SECONDS = 0.5
"""For a script to end that has nothing more to say to an agent that has hung up."""
_ECHO_DELAY_MS = 50
"""From our playback to our capture: two device buffers; AEC3 refines it."""
_LEVEL_BLOCKS = 6
"""Blocks in one bar of the level meter: 120 ms, one refresh of the screen at 8 frames/s."""


class NoAnswer(VoicecoreError):
    """The agent left something that was said without an answer; `reason` is a sentence."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(
            f"The agent said nothing for {seconds:.0f} s. {reason}",
            "Its log shows what it heard and did; so does `voicecore dev` in another terminal.",
        )


class LineTooLong(VoicecoreError):
    """A typed line does not fit in one message to the agent."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The typed line has {size:,} bytes, and a message carries {_TEXT_MAX:,}.",
            "Send it as several lines.",
            ExitCode.USAGE,
        )


class AgentLeft(Exception):
    """A script has more to say, and the agent has hung up."""


class LiveCall:
    """A call under way. Calls `show` with each event and its time, once and in order.

    The time is in seconds since the call began; None for an event after its end.
    """

    def __init__(
        self,
        open_channel: ChannelFactory,
        audio: CallAudio,
        show: Callable[[CallEvent, float | None], None],
        transcript: Callable[[Callable[[CallEvent], None]], CallTranscript] = CallTranscript,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._audio, self._show = audio, show
        self.transcript = transcript(self._report)
        self.user_levels: deque[float] = deque(maxlen=40)
        self.agent_levels: deque[float] = deque(maxlen=40)
        self._levels: list[tuple[float, float]] = []
        self._channel = open_channel(self._deliver, self._quiet)
        self._voice = VoiceDetector()
        self._resampler = pcm.Resampler(pcm.VOICE_RATE, pcm.VOICE_RATE)
        self._hang_up, self._leave = asyncio.Event(), asyncio.Event()
        self._tick = asyncio.Condition()
        self._began = self._now = self._loop.time()
        self._ready_at: float | None = None
        self._over_at: float | None = None
        self._overflowed = False
        self._left = False  # the agent has hung up, and all that it said was played

    @property
    def seconds(self) -> float:
        """Duration of the call so far; 0 until the agent is ready."""
        return (self._over_at or self._loop.time()) - self._ready_at if self._ready_at else 0.0

    def hang_up(self) -> None:
        """End the call, as the user does."""
        self._hang_up.set()

    def interrupt(self) -> None:
        """Hang up at Ctrl-C; at the second one, stop waiting for the server too."""
        if self._hang_up.is_set():
            self._leave.set()
        self.hang_up()

    async def run(self, script: Callable[[LiveCall], Any]) -> EndedBy:
        """Hold the call until the script is over or someone hangs up.

        Whatever ends it, the session is stopped, the files are complete and the devices closed.
        Raises what the devices, the channel or the script raise.
        """
        try:
            self._audio.open()
            return await first_done(
                self._until_hung_up(),
                self._hold(),
                self._follow(script),
                self._listen(),
            )
        finally:
            self._over_at = self._loop.time()
            try:
                self.transcript.end()
                self._audio.close()
            finally:  # a full disk must not leave a session running, which is billed
                await self._stop_session()

    # For scripts

    async def connected(self) -> None:
        """Wait until the agent is ready."""
        await self._until(lambda: self._ready_at is not None)

    async def greeted(self) -> None:
        """Wait until the agent is ready and has said its greeting, if it has one."""
        await self.connected()
        wait, tracker = self._channel.greeting_seconds, self.transcript.tracker
        await self._until(lambda: self._over if tracker.active else self.seconds > wait)

    def expect(self) -> None:
        """Begin to wait for an answer to what is said from now on. Raises AgentLeft."""
        self._require_agent()
        self.transcript.tracker.expect()

    def type(self, text: str) -> None:
        """Send a line, which interrupts the agent. Raises LineTooLong and AgentLeft."""
        self._require_agent()
        size = len(json.dumps(text))
        if size > _TEXT_MAX:
            raise LineTooLong(size)
        self._audio.jitter_buffer.flush()
        self._channel.type(text)
        self.transcript.typed(text, self._loop.time())

    def press(self, key: str) -> None:
        """Press a key of the telephone, if it is one."""
        if self._channel.press(key):
            self.transcript.pressed(key, self._loop.time())

    def note(self, text: str) -> None:
        """Show a line that is not speech."""
        self._deliver(Note(text))

    async def answered(self) -> None:
        """Wait until everything that was said is answered, and the answers were played.

        Raises NoAnswer if the agent leaves something without an answer.
        """
        tracker = self.transcript.tracker
        await self._until(lambda: (tracker.answered and self._over) or self._stalled)
        if not tracker.answered:
            raise NoAnswer(tracker.quiet_seconds(self._now), self.transcript.why_silent)

    async def replied(self) -> None:
        """Wait until the reply to keys was played; tell if none begins."""
        tracker, until = self.transcript.tracker, self._loop.time() + _REPLY_SECONDS
        await self._until(lambda: tracker.answered or self._now > until)
        if not tracker.answered:
            self.note(f"the agent says nothing within {_REPLY_SECONDS:.0f} s of the keys")
        await self._until(lambda: self._over)

    def _require_agent(self) -> None:
        if self._left:
            raise AgentLeft

    @property
    def _stalled(self) -> bool:
        return self.transcript.tracker.stalled(self._now)

    @property
    def _over(self) -> bool:
        """True when all is silent; also when the agent has reported no end of its turn."""
        return self.idle or self._stalled or self._left

    @property
    def idle(self) -> bool:
        """True when both sides are silent and everything that was said was played."""
        return self.transcript.tracker.settled(self._now) and self._audio.jitter_buffer.empty

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._tick:
            await self._tick.wait_for(condition)

    # Running at the same time

    async def _until_hung_up(self) -> EndedBy:
        await self._hang_up.wait()
        return EndedBy.USER

    async def _hold(self) -> EndedBy:
        await self._channel.run()
        await self._until(lambda: self._audio.jitter_buffer.empty)
        self._left = True
        await asyncio.sleep(_LAST_SECONDS)
        return EndedBy.AGENT

    async def _follow(self, script: Callable[[LiveCall], Any]) -> EndedBy:
        try:
            await script(self)
        except AgentLeft:
            return EndedBy.AGENT
        return EndedBy.SCRIPT

    async def _listen(self) -> EndedBy:
        """Keep the call's time: each turn of this loop is one block of audio."""
        async for block in self._audio.source.blocks():
            now = self._now = self._loop.time()
            said = self._pass_on(block, now)
            self._meter(said, block.played)
            playing = vad.first_audible_sample(block.played, pcm.VOICE_RATE) is not None
            self.transcript.tick(now, playing)
            async with self._tick:
                self._tick.notify_all()
        return EndedBy.USER

    def _pass_on(self, block: DuplexBlock, now: float) -> bytes:
        """Send a block to the agent and to the files; return the user's part without echo."""
        audio, said = self._audio, block.said
        if audio.echo:
            said = audio.echo.clean(block.played, said, _ECHO_DELAY_MS)
        voiced = self._voice.feed(said)
        ended = self._end_of_voice(voiced, now)
        if ended is not None:
            self.transcript.voiced(ended)
        if self._ready_at is not None:
            self._channel.say(SpeechBlock(said, voiced))
        if audio.output:
            audio.output.write(block.played)
        if audio.recorder:
            audio.recorder.write(said, block.played)
        return said

    def _end_of_voice(self, voiced: bool, now: float) -> float | None:
        """Return when the voice in the block that ends now last sounded; None if it has none."""
        if isinstance(self._audio.source, ScriptedMicrophone):
            ago = self._audio.source.voiced_ago
            return None if ago is None else now - ago
        return now if voiced else None

    def _meter(self, said: bytes, played: bytes) -> None:
        self._levels.append((pcm.rms(said), pcm.rms(played)))
        if len(self._levels) == _LEVEL_BLOCKS:
            self.user_levels.append(pcm.decibels(max(user for user, _ in self._levels)))
            self.agent_levels.append(pcm.decibels(max(agent for _, agent in self._levels)))
            self._levels.clear()

    def _deliver(self, delivery: Delivery) -> None:
        jitter_buffer = self._audio.jitter_buffer
        match delivery:
            case pipecat_frames.Audio() if jitter_buffer.full:
                return self._overflow()
            case pipecat_frames.Audio(audio, rate, channels):
                if rate != self._resampler.source:
                    self._resampler = pcm.Resampler(rate, pcm.VOICE_RATE)
                jitter_buffer.push(self._resampler.feed(pcm.mono(audio, channels)))
            case pipecat_frames.Interruption() | rtvi.BotInterrupted() | rtvi.UserStarted():
                jitter_buffer.flush()
            case rtvi.BotStopped():
                jitter_buffer.utterance_ended()
            case Connected() if self._ready_at is None:
                self._ready_at = self._loop.time()
            case _:
                pass
        self.transcript.receive(delivery, self._loop.time())

    def _overflow(self) -> None:
        """Drop audio that does not fit, and report that once."""
        if not self._overflowed:
            self._overflowed = True
            ahead = f"{SECONDS_MAX / 60:.0f} minutes ahead of what was played"
            self._deliver(Note(f"the agent's audio is {ahead}: what does not fit is dropped"))

    def _report(self, event: CallEvent) -> None:
        if isinstance(event, UserSaid):
            self._channel.turn_finished()
        self._show(event, self._loop.time() - self._began)

    def _quiet(self) -> bool:
        return self.idle and not self._voice.speaking

    async def _stop_session(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                left = await first_done(self._channel.stop(), self._leave.wait())
            if not left:
                return
            reason = "interrupted before the server answered"
        except (VoicecoreError, TimeoutError) as error:
            # The call is over either way, but a session that still runs is billed.
            reason = str(error) or f"no answer within {_GOODBYE_SECONDS:.0f} s"
        session = self._channel.session.id if self._channel.session else ""
        self._show(SessionNotStopped(session, reason), None)


@contextmanager
def hanging_up_on_signals(call: LiveCall) -> Generator[None]:
    """Hang up on Ctrl-C and on the signals that end a process, while the block runs."""
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    # Windows' event loop takes no handlers: there Ctrl-C cancels the call, which ends it as well.
    with suppress(NotImplementedError):
        for number in signals:
            interrupt = number == signal.SIGINT
            loop.add_signal_handler(number, call.interrupt if interrupt else call.hang_up)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)

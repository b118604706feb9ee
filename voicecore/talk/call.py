"""One call from dial to hang-up: what is said goes to the agent, what it says to an ear."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from voicecore.console.errors import VoicecoreError
from voicecore.talk.audio import pcm
from voicecore.talk.audio.echo_canceller import EchoCanceller
from voicecore.talk.audio.endpoints import Ear, Mouth
from voicecore.talk.audio.jitter_buffer import Playback
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.audio.scripted_mic import ScriptedMouth
from voicecore.talk.audio.sound_files import Clip, Recorder, WavWriter
from voicecore.talk.audio.vad import VoiceTracker
from voicecore.talk.first_done import first
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import Channel, Connected, Deliver, News
from voicecore.talk.view.transcript import Dialogue

_ANSWER_SECONDS = 30.0
"""Longer than any model thinks; an agent that is silent for so long has failed."""
_REPLY_SECONDS = 8.0
"""An agent that says nothing for so long after keys were pressed has only taken note of them."""
_KEY_SECONDS = 0.25
"""From one key to the next, as fast as a person."""
_GOODBYE_SECONDS = 5.0
"""For DELETE /sessions/{id}; the idle timeout ends what cannot be ended."""
_ECHO_DELAY_MS = 50
"""From our playback to our capture: two device buffers; AEC3 refines it."""
_LEVEL_BLOCKS = 6
"""Blocks to a bar of the meter: 120 ms, one step of the screen at 8 frames/s."""


class Ending(Enum):
    """Who ended the call."""

    SCRIPT = auto()
    """All was said that was to be said."""
    USER = auto()
    AGENT = auto()


class NoAnswer(VoicecoreError):
    """The agent is connected, heard the user, and said nothing."""

    def __init__(self) -> None:
        super().__init__(
            f"The agent said nothing for {_ANSWER_SECONDS:.0f} s.",
            "Its log says what it heard and did; `voicecore dev` in another terminal shows it.",
        )


@dataclass(frozen=True)
class Equipment:
    """What a call is held with. `playback` is what `ear` plays."""

    mouth: Mouth
    ear: Ear
    playback: Playback
    echo: EchoCanceller | None = None
    output: WavWriter | None = None
    recorder: Recorder | None = None


Dial = Callable[[Deliver, Callable[[], bool]], Channel]
"""A channel that tells the one, and asks the other whether nobody would notice a new connection."""


class Conversation:
    """A call under way. `show` is told each event, as a JSON-able mapping, once and in order."""

    def __init__(
        self,
        dial: Dial,
        equipment: Equipment,
        show: Callable[[Mapping[str, Any]], None],
        follow: Callable[[Callable[[dict[str, Any]], None]], Dialogue] = Dialogue,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._gear, self._show = equipment, show
        self.dialogue = follow(self._report)
        self.user_levels: deque[float] = deque(maxlen=40)
        self.agent_levels: deque[float] = deque(maxlen=40)
        self._channel = dial(self._deliver, self._quiet)
        self._tracker = VoiceTracker()
        self._resampler = pcm.Resampler(pcm.VOICE_RATE, pcm.VOICE_RATE)
        self._hang_up = asyncio.Event()
        self._tick = asyncio.Condition()
        self._begun = self._loop.time()
        self._ready_at: float | None = None
        self._over_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long the call has lasted, or lasted; 0 while it rings."""
        return (self._over_at or self._loop.time()) - self._ready_at if self._ready_at else 0.0

    def hang_up(self) -> None:
        """End the call, as a user does."""
        self._hang_up.set()

    async def run(self, script: Callable[[Conversation], Any]) -> Ending:
        """Hold the call until the script is over or someone hangs up.

        Whatever ends it: the session is stopped, the files are complete, the devices closed.
        Raises what the devices, the connection or the script raise.
        """
        gear = self._gear
        try:
            gear.mouth.open()
            gear.ear.open()
            return await first(
                self._until_hung_up(),
                self._hold(),
                self._follow(script),
                self._listen(),
            )
        finally:
            self._over_at = self._loop.time()
            try:
                self.dialogue.end()
                gear.mouth.close()
                gear.ear.close()
                if gear.output:
                    gear.output.close()
                if gear.recorder:
                    gear.recorder.close()
            finally:  # a full disk must not leave a session that is paid for
                await self._goodbye()

    # What scripts are made of

    async def connected(self) -> None:
        """Wait until the agent is ready."""
        await self._until(lambda: self._ready_at is not None)

    async def greeted(self) -> None:
        """Wait until the agent is ready and has said its greeting, if it has one."""
        await self.connected()
        await self._until(
            lambda: (
                self.idle if self.dialogue.active else self.seconds > self._channel.greeting_seconds
            )
        )

    def type(self, text: str) -> None:
        """Say a line without a voice; what the agent is saying is cut off."""
        self._gear.playback.flush()
        self._channel.type(text)
        self.dialogue.typed(text, self._loop.time())

    def press(self, key: str) -> None:
        """Press a key of the telephone, if it is one."""
        if self._channel.press(key):
            self._report({"event": "key", "key": key})

    async def answered(self) -> None:
        """Wait until the whole answer was heard; raises NoAnswer if none begins."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._until(lambda: self.dialogue.answered)
        except TimeoutError:
            raise NoAnswer from None
        await self._until(lambda: self.idle)

    async def replied(self) -> None:
        """Hear out what may come now; nothing need come."""
        since = self._loop.time()
        await self._until(lambda: not self.idle or self._loop.time() > since + _REPLY_SECONDS)
        await self._until(lambda: self.idle)

    @property
    def idle(self) -> bool:
        """Whether nobody speaks, and all that was said has been heard."""
        return self.dialogue.settled(self._loop.time()) and self._gear.playback.empty

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._tick:
            await self._tick.wait_for(condition)

    # What goes on at the same time

    async def _until_hung_up(self) -> Ending:
        await self._hang_up.wait()
        return Ending.USER

    async def _hold(self) -> Ending:
        await self._channel.run()
        await self._until(lambda: self._gear.playback.empty)
        return Ending.AGENT

    async def _follow(self, script: Callable[[Conversation], Any]) -> Ending:
        await script(self)
        return Ending.SCRIPT

    async def _listen(self) -> Ending:
        """The call's clock: one turn of this loop for every block of sound."""
        gear = self._gear
        levels: list[tuple[float, float]] = []
        async for moment in gear.mouth.moments():
            now = self._loop.time()
            said, heard = moment.said, moment.heard
            if gear.echo:
                said = gear.echo.clean(heard, said, _ECHO_DELAY_MS)
            voiced = self._tracker.feed(said)
            ended = self._voice_ended(voiced, now)
            if ended is not None:
                self.dialogue.voiced(ended)
            if self._ready_at is not None:
                self._channel.say(Block(said, voiced))
            if gear.output:
                gear.output.write(heard)
            if gear.recorder:
                gear.recorder.write(said, heard)
            levels.append((pcm.rms(said), pcm.rms(heard)))
            if len(levels) == _LEVEL_BLOCKS:
                self.user_levels.append(pcm.decibels(max(user for user, _ in levels)))
                self.agent_levels.append(pcm.decibels(max(agent for _, agent in levels)))
                levels.clear()
            self.dialogue.tick(now)
            async with self._tick:
                self._tick.notify_all()
        return Ending.USER

    def _voice_ended(self, voiced: bool, now: float) -> float | None:
        """When the voice in the block that ends now was last sounding; None: it holds none."""
        if isinstance(self._gear.mouth, ScriptedMouth):
            ago = self._gear.mouth.voiced_ago
            return None if ago is None else now - ago
        return now if voiced else None

    def _deliver(self, news: News) -> None:
        playback = self._gear.playback
        match news:
            case pipecat_frames.Audio(sound, rate, channels):
                if rate != self._resampler.source:
                    self._resampler = pcm.Resampler(rate, pcm.VOICE_RATE)
                playback.push(self._resampler.feed(pcm.mono(sound, channels)))
            case pipecat_frames.Interruption() | rtvi.BotInterrupted() | rtvi.UserStarted():
                playback.flush()
            case rtvi.BotStopped():
                playback.utterance_ended()
            case Connected() if self._ready_at is None:
                self._ready_at = self._loop.time()
            case _:
                pass
        self.dialogue.receive(news, self._loop.time())

    def _report(self, event: dict[str, Any]) -> None:
        if event["event"] == "user_said":
            self._channel.turn_finished()
        self._show({"time": round(self._loop.time() - self._begun, 3), **event})

    def _quiet(self) -> bool:
        return self.idle and not self._tracker.speaking

    async def _goodbye(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._channel.stop()
        except (VoicecoreError, TimeoutError) as error:
            # The call is over either way; whoever pays for the session should know.
            reason = str(error) or f"no answer within {_GOODBYE_SECONDS:.0f} s"
            session = self._channel.session.id if self._channel.session else ""
            self._show({"event": "session_not_stopped", "session": session, "reason": reason})


async def speak(conversation: Conversation, mouth: ScriptedMouth, clips: Sequence[Clip]) -> None:
    """Say each clip in turn with the call's mouth; hear the whole answer before the next."""
    await conversation.greeted()
    for clip in clips:
        await mouth.say(clip)
        await conversation.answered()


async def press(conversation: Conversation, keys: str) -> None:
    """Press keys of a telephone after the greeting, and hear what comes of it."""
    await conversation.greeted()
    for key in keys:
        conversation.press(key)
        await asyncio.sleep(_KEY_SECONDS)
    await conversation.replied()


async def write(conversation: Conversation, lines: AsyncIterator[str]) -> None:
    """Send each line as a script does; hear the whole answer before the next."""
    await conversation.greeted()
    async for line in lines:
        if text := line.strip():
            conversation.type(text)
            await conversation.answered()


async def chat(conversation: Conversation, lines: AsyncIterator[str]) -> None:
    """Send each line as a person does, who may cut the agent off; hear the last answer."""
    awaited = False
    async for line in lines:
        await conversation.connected()
        if text := line.strip():
            conversation.type(text)
            awaited = True
    if awaited:
        await conversation.answered()

"""Owns the client in a Daily room: audio and messages go through Daily's own library.

The library calls back from its own threads, and recovers by itself from network failures.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from voicecore.catalog.transports.daily import TRANSPORT
from voicecore.console.errors import VoicecoreError
from voicecore.talk import optional_deps
from voicecore.talk.audio import pcm, vad
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import ChannelFactory, Connected, Deliver
from voicecore.talk.first_done import first_done
from voicecore.talk.session_client import DailyRoom, SessionClient, SessionRefused, StartedSession
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    READY_SECONDS,
    AgentNotReady,
    ClientSetup,
    ConnectionEnd,
    SessionConnection,
)

_JOIN_SECONDS = 25.0
"""Daily's library gives up after 19."""
_LEAVE_SECONDS = 2.0
_AUDIO_SECONDS = 5.0
"""The agent's audio arrives within a second of joining; if not, the agent is asked to begin
anyway."""
_BACKLOG_BLOCKS = 10
"""With more unspoken blocks than this, silence is dropped: the library speaks in real time and
would never catch up."""
_SPEAKER = "voicecore-speaker"
_NAME = "voicecore talk"

_NO_NETWORK = ("failed to lookup address", "client error (connect)", "timed out", "timeout")
"""Parts of the library's errors when it cannot reach Daily."""
_UNREACHABLE = "Daily cannot be reached from here"
_FIREWALL = "Daily needs HTTPS, WebSocket and UDP: does a firewall block one of them?"

GRANTS = ("roomUrl",)
"""Fields of a session server's answer that allow a connection."""


class RoomRefused(VoicecoreError):
    """The session has a room, and Daily does not let this client join it."""


def channel_for(setup: ClientSetup) -> ChannelFactory:
    """Return a factory of channels to the agent in a Daily room. Raises MissingExtra."""
    library = load()
    server = SessionClient(setup.http, setup.url, setup.key, TRANSPORT.name, GRANTS)
    return lambda deliver, quiet: DailyConnection(server, deliver, library)


def load() -> Any:
    """Return Daily's library, initialized. Raises MissingExtra."""
    # The library writes its own log to our terminal, whatever set_log_level says (0.36).
    os.environ.setdefault("RUST_LOG", "off")
    library = optional_deps.load(TRANSPORT.client_library, TRANSPORT.name)
    library.Daily.init()  # once a process: a second call aborts it (0.36)
    return library


class DailyConnection(SessionConnection):
    """Carries one call in a room; `library` is Daily's, as load() returns it."""

    def __init__(self, server: SessionClient, deliver: Deliver, library: Any) -> None:
        super().__init__(server, deliver)
        self._library = library
        self._participant: _Participant | None = None
        self._typed = asyncio.Event()

    def say(self, block: SpeechBlock) -> None:
        """Send BLOCK_MS of the user's voice; between two rooms it is lost."""
        if self._participant:
            self._participant.say(block)

    def type(self, text: str) -> None:
        """Send a line that the user typed."""
        self._outbox.post(rtvi.send_text(text))
        self._typed.set()

    def turn_finished(self) -> None:
        """Do nothing: what was said is not kept."""

    async def _hold(self, session: StartedSession, resumed: bool) -> ConnectionEnd:
        """Hold one stay in the room, from joining to the end."""
        if session.room is None:
            raise SessionRefused("The session server's answer has no room.")
        participant = _Participant(self._library)
        self._outbox.rewind()
        try:
            if failure := await participant.join(session.room):
                if resumed:
                    return ConnectionEnd(failure)
                raise RoomRefused(
                    f"The session's room cannot be joined: {failure}.",
                    _FIREWALL if failure == _UNREACHABLE else None,
                )
            ready, audible = asyncio.Event(), asyncio.Event()
            return await first_done(
                self._receive(participant, ready, audible, resumed),
                self._listen(participant),
                self._send(participant, ready, audible),
            )
        finally:
            self._participant = None
            await participant.leave()

    async def _receive(
        self,
        participant: _Participant,
        ready: asyncio.Event,
        audible: asyncio.Event,
        resumed: bool,
    ) -> ConnectionEnd:
        agent = ""
        while True:
            match await participant.events.get():
                case "message", body, sender:
                    event = rtvi.parse(body)
                    if isinstance(event, rtvi.BotReady):
                        agent, self._was_ready, self._participant = sender, True, participant
                        ready.set()
                        self._deliver(Connected(resumed))
                    elif event is not None:
                        self._receive_event(event)
                case "participant", other if is_audible(other):
                    audible.set()
                case "left", other if other == agent:
                    return ConnectionEnd("the agent left", by_agent=True)
                case "state", "left":
                    return ConnectionEnd("the room was closed", by_agent=True)
                case "error", message:
                    return ConnectionEnd(reason_in(str(message)))
                case _:
                    pass

    async def _listen(self, participant: _Participant) -> ConnectionEnd:
        silence = vad.SilenceGate()
        while True:
            audio = await participant.hear()
            if not audio:  # the others have not joined yet
                await asyncio.sleep(pcm.BLOCK_MS / 1000)
            elif silence.passes(audio, pcm.VOICE_RATE):
                self._deliver(pipecat_frames.Audio(audio, pcm.VOICE_RATE))

    async def _send(
        self, participant: _Participant, ready: asyncio.Event, audible: asyncio.Event
    ) -> ConnectionEnd:
        with suppress(TimeoutError):
            async with asyncio.timeout(_AUDIO_SECONDS):
                await audible.wait()
        try:
            async with asyncio.timeout(READY_SECONDS):
                if failure := await participant.send(rtvi.client_ready()):
                    return ConnectionEnd(failure)
                await ready.wait()
        except TimeoutError:
            raise AgentNotReady from None
        while True:
            while self._outbox:
                if failure := await participant.send(self._outbox.take()):
                    return ConnectionEnd(failure)
            self._typed.clear()
            await self._typed.wait()


class _Participant:
    """One client in a room: Daily's call client, a microphone and a speaker."""

    def __init__(self, library: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        """Events of the room: a kind, and what the library passes with it."""
        self._speaker = library.Daily.create_speaker_device(
            _SPEAKER, sample_rate=pcm.VOICE_RATE, channels=1, non_blocking=True
        )
        library.Daily.select_speaker_device(_SPEAKER)
        self._microphone = library.CustomAudioSource(pcm.SPEECH_RATE, 1)
        self._track = library.CustomAudioTrack(self._microphone)
        self._queued = self._spoken = 0
        """Numbers of blocks; only one thread changes each."""
        self._client = library.CallClient(event_handler=self._events_of(library))

    async def join(self, room: DailyRoom) -> str:
        """Join the room; return why that failed, or an empty string."""
        self._client.set_user_name(_NAME)
        nothing = {"camera": "unsubscribed", "screenVideo": "unsubscribed"}
        self._client.update_subscription_profiles({"base": nothing})
        microphone = {"isEnabled": True, "settings": {"customTrack": {"id": self._track.id}}}
        settings = {"inputs": {"camera": False, "microphone": microphone}}
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                _, error = await self._completed(
                    self._client.join, room.url, room.token, client_settings=settings
                )
        except TimeoutError:
            return f"no answer within {_JOIN_SECONDS:.0f} s"
        if not error:
            for participant in self._client.participants().values():
                self.events.put_nowait(("participant", participant))
        return reason_in(str(error)) if error else ""

    def say(self, block: SpeechBlock) -> None:
        """Queue a block behind those that were not spoken yet."""
        if block.voiced or self._queued - self._spoken < _BACKLOG_BLOCKS:
            self._queued += 1
            self._microphone.write_frames(block.audio, completion=self._was_spoken)

    async def hear(self) -> bytes:
        """Return the next block of the others' voices, at VOICE_RATE; empty without others."""
        [audio] = await self._completed(self._speaker.read_frames, pcm.VOICE_BLOCK)
        return audio

    async def send(self, message: Mapping[str, Any]) -> str:
        """Send a message to all; return why it was not sent, or an empty string."""
        [error] = await self._completed(self._client.send_app_message, message, None)
        return str(error) if error else ""

    async def leave(self) -> None:
        """Leave the room; give the library no longer than leaving takes."""
        leaving = asyncio.ensure_future(self._completed(self._client.leave))
        await asyncio.wait({leaving}, timeout=_LEAVE_SECONDS)
        leaving.cancel()
        # release() waits for a join under way, and an unreleased client would hold up the end of
        # the process. A daemon thread does not, but Python aborts if it ends while one returns.
        releasing = threading.Thread(target=self._client.release, daemon=True)
        releasing.start()
        await asyncio.to_thread(releasing.join, _LEAVE_SECONDS)

    def _was_spoken(self, _: int) -> None:
        self._spoken += 1

    async def _completed(
        self, function: Callable[..., object], *arguments: object, **named: object
    ) -> Any:
        """Call the library; return what it calls back with, as a tuple."""
        future: asyncio.Future[tuple[Any, ...]] = self._loop.create_future()

        def settle(results: tuple[Any, ...]) -> None:
            if not future.done():
                future.set_result(results)

        def completion(*results: Any) -> None:
            self._in_loop(settle, results)

        function(*arguments, **named, completion=completion)
        return await future

    def _in_loop(
        self, function: Callable[[tuple[Any, ...]], None], argument: tuple[Any, ...]
    ) -> None:
        with suppress(RuntimeError):  # the call is over, and its loop is closed
            self._loop.call_soon_threadsafe(function, argument)

    def _events_of(self, library: Any) -> Any:
        put = self._put

        class Events(library.EventHandler):
            """Puts the events of a room into the queue."""

            def on_app_message(self, message: Any, sender: str) -> None:
                if isinstance(message, dict):
                    put("message", cast("dict[str, Any]", message), sender)

            def on_participant_joined(self, participant: Any) -> None:
                put("participant", participant)

            def on_participant_updated(self, participant: Any) -> None:
                put("participant", participant)

            def on_participant_left(self, participant: Any, reason: str) -> None:
                put("left", participant["id"])

            def on_call_state_updated(self, state: str) -> None:
                put("state", state)

            def on_error(self, message: str) -> None:
                put("error", message)

        return Events()

    def _put(self, *event: object) -> None:
        self._in_loop(self.events.put_nowait, event)


def is_audible(participant: Mapping[str, Any]) -> bool:
    """Return whether this is another participant whose microphone is received here."""
    microphone = participant.get("media", {}).get("microphone", {})
    local = participant.get("info", {}).get("isLocal", False)
    return not local and microphone.get("state") == "playable"


def reason_in(error: str) -> str:
    """Return the reason in an error of the library; its own text shows the library's insides."""
    known = error.lower()
    if any(part in known for part in _NO_NETWORK):
        return _UNREACHABLE
    return error.removesuffix(".")

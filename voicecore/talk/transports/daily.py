"""The connection through a room of Daily's: sound and messages go by Daily's own library.

The library calls back from threads of its own, and mends by itself what a network does to a call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from voicecore.console.errors import VoicecoreError
from voicecore.talk import optional_deps
from voicecore.talk.audio import pcm, vad
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.first_done import first
from voicecore.talk.session_client import Room, Session, SessionRefused, SessionServer
from voicecore.talk.transports import connection, pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    READY_SECONDS,
    AgentMute,
    Connected,
    Deliver,
    Ending,
)

_JOIN_SECONDS = 25.0
"""Daily's library gives up after 19."""
_LEAVE_SECONDS = 2.0
_SOUND_SECONDS = 5.0
"""The agent's sound is there within a second of joining; if not, it is asked to begin anyway."""
_BEHIND_BLOCKS = 10
"""So many blocks that are not spoken yet, and silence is left out: the library speaks in real time
and would never catch up."""
_EAR = "voicecore-ear"
_NAME = "voicecore talk"

_AWAY = ("failed to lookup address", "client error (connect)", "timed out", "timeout")
"""What the library's errors say of a Daily that it does not reach."""
_UNREACHABLE = "Daily cannot be reached from here"
_FIREWALL = "It is reached by HTTPS, WebSocket and UDP: does a firewall keep them back?"


class NoRoom(VoicecoreError):
    """The session has a room, and Daily does not let us in."""


def load() -> Any:
    """Daily's library, ready to use. Raises MissingExtra."""
    # It writes its own log on our terminal, whatever its set_log_level is told (0.36).
    os.environ.setdefault("RUST_LOG", "off")
    library = optional_deps.load("daily", "daily")
    library.Daily.init()  # once a process: a second time aborts it (0.36)
    return library


class Connection(connection.Connection):
    """One conversation in a room; `library` is Daily's, as load() gives it."""

    def __init__(self, server: SessionServer, deliver: Deliver, library: Any) -> None:
        super().__init__(server, deliver)
        self._library = library
        self._seat: _Seat | None = None
        self._typed = asyncio.Event()

    def say(self, block: Block) -> None:
        """Send BLOCK_MS of what the user says. What is said between two rooms is lost."""
        if self._seat:
            self._seat.say(block)

    def type(self, text: str) -> None:
        """Send what the user typed."""
        self._outbox.append(rtvi.send_text(text))
        self._typed.set()

    def turn_finished(self) -> None:
        """Nothing: what was said is not kept."""

    async def _hold(self, session: Session, resumed: bool) -> Ending:
        """One stay in the room, from the door to the end."""
        if session.room is None:
            raise SessionRefused("The session server named no room.")
        seat = _Seat(self._library)
        try:
            if trouble := await seat.join(session.room):
                if resumed:
                    return Ending(trouble)
                raise NoRoom(
                    f"The room of the session cannot be entered: {trouble}.",
                    _FIREWALL if trouble == _UNREACHABLE else None,
                )
            ready, audible = asyncio.Event(), asyncio.Event()
            return await first(
                self._receive(seat, ready, audible, resumed),
                self._listen(seat),
                self._send(seat, ready, audible),
            )
        finally:
            self._seat = None
            await seat.leave()

    async def _receive(
        self, seat: _Seat, ready: asyncio.Event, audible: asyncio.Event, resumed: bool
    ) -> Ending:
        agent = ""
        while True:
            match await seat.events.get():
                case "message", body, sender:
                    event = rtvi.parse(body)
                    if isinstance(event, rtvi.BotReady):
                        agent, self._was_ready, self._seat = sender, True, seat
                        ready.set()
                        self._deliver(Connected(resumed))
                    elif event is not None:
                        self._deliver(event)
                case "participant", participant if sounds(participant):
                    audible.set()
                case "left", who if who == agent:
                    return Ending("the agent left", by_agent=True)
                case "state", "left":
                    return Ending("the room was closed", by_agent=True)
                case "error", message:
                    return Ending(reason_in(str(message)))
                case _:
                    pass

    async def _listen(self, seat: _Seat) -> Ending:
        pauses = vad.Pauses()
        while True:
            sound = await seat.hear()
            if not sound:  # nobody is there to be heard yet
                await asyncio.sleep(pcm.BLOCK_MS / 1000)
            elif pauses.let_through(sound, pcm.VOICE_RATE):
                self._deliver(pipecat_frames.Audio(sound, pcm.VOICE_RATE))

    async def _send(self, seat: _Seat, ready: asyncio.Event, audible: asyncio.Event) -> Ending:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SOUND_SECONDS):
                await audible.wait()
        try:
            async with asyncio.timeout(READY_SECONDS):
                if trouble := await seat.tell(rtvi.client_ready()):
                    return Ending(trouble)
                await ready.wait()
        except TimeoutError:
            raise AgentMute from None
        while True:
            while self._outbox:
                if trouble := await seat.tell(self._outbox[0]):
                    return Ending(trouble)
                self._outbox.popleft()
            self._typed.clear()
            await self._typed.wait()


class _Seat:
    """A place in a room: Daily's client, our voice in it, and an ear for all the others."""

    def __init__(self, library: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        """What happened: its kind, and what the library tells of it."""
        self._ear = library.Daily.create_speaker_device(
            _EAR, sample_rate=pcm.VOICE_RATE, channels=1, non_blocking=True
        )
        library.Daily.select_speaker_device(_EAR)
        self._mouth = library.CustomAudioSource(pcm.SPEECH_RATE, 1)
        self._track = library.CustomAudioTrack(self._mouth)
        self._given = self._spoken = 0
        """Blocks; each is counted by one thread only."""
        self._client = library.CallClient(event_handler=self._events_of(library))

    async def join(self, room: Room) -> str:
        """Enter; returns why not, empty when in."""
        self._client.set_user_name(_NAME)
        nothing = {"camera": "unsubscribed", "screenVideo": "unsubscribed"}
        self._client.update_subscription_profiles({"base": nothing})
        microphone = {"isEnabled": True, "settings": {"customTrack": {"id": self._track.id}}}
        settings = {"inputs": {"camera": False, "microphone": microphone}}
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                _, error = await self._done(
                    self._client.join, room.url, room.token, client_settings=settings
                )
        except TimeoutError:
            return f"no answer within {_JOIN_SECONDS:.0f} s"
        if not error:
            for participant in self._client.participants().values():
                self.events.put_nowait(("participant", participant))
        return reason_in(str(error)) if error else ""

    def say(self, block: Block) -> None:
        """Speak, as soon as what is before it has been spoken."""
        if block.voiced or self._given - self._spoken < _BEHIND_BLOCKS:
            self._given += 1
            self._mouth.write_frames(block.sound, completion=self._was_spoken)

    async def hear(self) -> bytes:
        """The next block of what the others say, at VOICE_RATE; empty where nobody is."""
        [sound] = await self._done(self._ear.read_frames, pcm.VOICE_BLOCK)
        return sound

    async def tell(self, message: Mapping[str, Any]) -> str:
        """Send a message to all; returns why it was not sent, empty when it was."""
        [error] = await self._done(self._client.send_app_message, message, None)
        return str(error) if error else ""

    async def leave(self) -> None:
        """Go. The library is given no longer than it takes from a room that it is in."""
        leaving = asyncio.ensure_future(self._done(self._client.leave))
        await asyncio.wait({leaving}, timeout=_LEAVE_SECONDS)
        leaving.cancel()
        # It waits for a join under way, and so would the end of the process for a client that
        # nobody has released; a thread of this kind is not waited for.
        threading.Thread(target=self._client.release, daemon=True).start()

    def _was_spoken(self, _: int) -> None:
        self._spoken += 1

    async def _done(self, act: Callable[..., object], *told: object, **named: object) -> Any:
        """What the library calls back with, as a tuple."""
        future: asyncio.Future[tuple[Any, ...]] = self._loop.create_future()

        def settle(results: tuple[Any, ...]) -> None:
            if not future.done():
                future.set_result(results)

        def back(*results: Any) -> None:
            self._later(settle, results)

        act(*told, **named, completion=back)
        return await future

    def _later(self, act: Callable[[tuple[Any, ...]], None], results: tuple[Any, ...]) -> None:
        with suppress(RuntimeError):  # the call is over, and its loop is closed
            self._loop.call_soon_threadsafe(act, results)

    def _events_of(self, library: Any) -> Any:
        tell = self._put

        class Events(library.EventHandler):
            """What we are told of a room."""

            def on_app_message(self, message: Any, sender: str) -> None:
                if isinstance(message, dict):
                    tell("message", cast("dict[str, Any]", message), sender)

            def on_participant_joined(self, participant: Any) -> None:
                tell("participant", participant)

            def on_participant_updated(self, participant: Any) -> None:
                tell("participant", participant)

            def on_participant_left(self, participant: Any, reason: str) -> None:
                tell("left", participant["id"])

            def on_call_state_updated(self, state: str) -> None:
                tell("state", state)

            def on_error(self, message: str) -> None:
                tell("error", message)

        return Events()

    def _put(self, *event: object) -> None:
        self._later(self.events.put_nowait, event)


def sounds(participant: Mapping[str, Any]) -> bool:
    """Whether this is somebody else, whose microphone is heard here."""
    microphone = participant.get("media", {}).get("microphone", {})
    ours = participant.get("info", {}).get("isLocal", False)
    return not ours and microphone.get("state") == "playable"


def reason_in(error: str) -> str:
    """What an error of the library's says to a person: it shows its insides."""
    known = error.lower()
    if any(sign in known for sign in _AWAY):
        return _UNREACHABLE
    return error.removesuffix(".")

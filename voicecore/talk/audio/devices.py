"""Microphone and speaker: the sound devices of this machine, through miniaudio."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.audio import pcm
from voicecore.talk.audio.endpoints import Ear, Moment
from voicecore.talk.audio.jitter_buffer import Playback
from voicecore.talk.optional_deps import load

_CAPTURE_MS, _PLAYBACK_MS = 10, 20
"""Length of a device's period: half a block for the microphone, so that no block is later than
that; a whole one for the speaker, where lateness is a hole in the agent's voice."""
DEFAULT = "default"


class NoAudioDevice(VoicecoreError):
    """There is no microphone or no speaker here, or no sound system at all."""

    def __init__(self, what: str) -> None:
        install = {
            "linux": "Install and start a sound server:  sudo apt install pulseaudio && "
            "pulseaudio --start",
            "darwin": "Connect one, and see System Settings › Sound.",
        }.get(sys.platform, "Connect one, and see the sound settings of the system.")
        super().__init__(
            f"There is no {what} here.",
            f"{install}\nOr do without: `voicecore talk --text` types, "
            "`voicecore talk --input question.wav` speaks a file.",
            ExitCode.MISSING_TOOL,
        )


class UnknownDevice(VoicecoreError):
    """No device, or more than one, bears the name that was asked for."""


class MicrophoneDenied(VoicecoreError):
    """The system does not let this terminal listen."""

    def __init__(self, reason: str) -> None:
        allow = {
            "darwin": "Allow it: System Settings › Privacy & Security › Microphone › your terminal "
            "app; then start the terminal anew.",
            "win32": "Allow it: Settings › Privacy & security › Microphone › Let desktop apps.",
        }.get(sys.platform, "Is it in use, or is this user not in the group `audio`?")
        super().__init__(
            f"The microphone cannot be opened: {reason}.",
            f"{allow}\n`voicecore talk --text` and `--input question.wav` work without one.",
        )


@dataclass(frozen=True)
class Device:
    """A sound device: its name, and miniaudio's handle of it."""

    name: str
    handle: Any


@dataclass(frozen=True)
class Devices:
    """The sound devices of this machine; the first of each kind is the default."""

    microphones: tuple[Device, ...]
    speakers: tuple[Device, ...]


def list_devices() -> Devices:
    """All devices; none at all where there is no sound system."""
    miniaudio = load("miniaudio")
    with _alsa_silenced():
        try:
            # Without a sound system miniaudio offers its null device; that one hears nothing.
            found = miniaudio.Devices(_backends(miniaudio))
            return Devices(_devices(found.get_captures()), _devices(found.get_playbacks()))
        except miniaudio.MiniaudioError:
            return Devices((), ())


@contextmanager
def _alsa_silenced() -> Generator[None]:
    """ALSA's library complains on file descriptor 2 itself when there is no sound card."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _devices(found: Sequence[dict[str, Any]]) -> tuple[Device, ...]:
    return tuple(Device(str(device["name"]), device["id"]) for device in found)


def _backends(miniaudio: Any) -> list[Any]:
    backend = miniaudio.Backend
    match sys.platform:
        case "darwin":
            return [backend.COREAUDIO]
        case "win32":
            return [backend.WASAPI]
        case _:
            return [backend.PULSEAUDIO, backend.ALSA]


def pick(devices: Sequence[Device], name: str | None, kind: str) -> Device | None:
    """The device called `name`, or the only one whose name contains it; None: the default.

    Raises NoAudioDevice when there are none, UnknownDevice when the name fits none or several.
    """
    if not devices:
        raise NoAudioDevice(kind)
    if name is None or name == DEFAULT:
        return None
    fitting = [d for d in devices if d.name == name] or [
        d for d in devices if name.lower() in d.name.lower()
    ]
    if len(fitting) != 1:
        several = "more than one" if fitting else "no"
        raise UnknownDevice(
            f"There is {several} {kind} called {name!r}.",
            "There are: " + ", ".join(device.name for device in fitting or devices),
            ExitCode.USAGE,
        )
    return fitting[0]


class Microphone:
    """Captures at SPEECH_RATE; its clock is the clock of the call.

    Held open from `open` to `close`. The device's thread hands each block to the event loop,
    with what the ear has heard meanwhile: an echo canceller lives on knowing what sounded when,
    and a busy event loop would blur that.
    """

    def __init__(self, device: Device | None, ear: Ear) -> None:
        self._device, self._ear = device, ear
        self._moments: asyncio.Queue[Moment] = asyncio.Queue()
        self._capture: Any = None

    def open(self) -> None:
        """Begin to listen; raises MicrophoneDenied."""
        miniaudio = load("miniaudio")
        loop = asyncio.get_running_loop()

        def deliver(block: bytes) -> None:  # on the device's thread
            moment = Moment(block, self._ear.heard())
            loop.call_soon_threadsafe(self._moments.put_nowait, moment)

        receiver = _cut_into_blocks(deliver)
        next(receiver)
        try:
            self._capture = miniaudio.CaptureDevice(
                miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=pcm.SPEECH_RATE,
                buffersize_msec=_CAPTURE_MS,
                device_id=self._device.handle if self._device else None,
                backends=_backends(miniaudio),
                app_name="voicecore",
            )
            self._capture.start(receiver)
        except miniaudio.MiniaudioError as error:
            raise MicrophoneDenied(str(error)) from error

    async def moments(self) -> AsyncIterator[Moment]:
        """What is captured, and heard meanwhile, for ever."""
        while True:
            yield await self._moments.get()

    def close(self) -> None:
        """Stop listening."""
        if self._capture is not None:
            self._capture.close()


def _cut_into_blocks(deliver: Callable[[bytes], object]) -> Generator[None, bytes, None]:
    size, rest = 2 * pcm.SPEECH_BLOCK, b""
    while True:
        rest += yield
        while len(rest) >= size:
            deliver(rest[:size])
            rest = rest[size:]


class Speaker:
    """Plays what a Playback holds; remembers what was played since it was last asked."""

    def __init__(self, playback: Playback, device: Device | None) -> None:
        self._playback, self._device = playback, device
        self._played = bytearray()
        self._output: Any = None

    def open(self) -> None:
        """Begin to play; raises NoAudioDevice."""
        miniaudio = load("miniaudio")
        player = self._pull()
        next(player)
        try:
            self._output = miniaudio.PlaybackDevice(
                miniaudio.SampleFormat.SIGNED16,
                nchannels=1,
                sample_rate=pcm.VOICE_RATE,
                buffersize_msec=_PLAYBACK_MS,
                device_id=self._device.handle if self._device else None,
                backends=_backends(miniaudio),
                app_name="voicecore",
            )
            self._output.start(player)
        except miniaudio.MiniaudioError as error:
            raise NoAudioDevice(f"speaker that can be opened ({error})") from error

    def _pull(self) -> Generator[bytes, int, None]:
        sound = b""
        while True:
            samples = yield sound
            sound = self._playback.pull(samples)
            self._played += sound  # the interpreter lock makes appending and taking atomic

    def heard(self) -> bytes:
        """What was played since the last call, at VOICE_RATE."""
        played = bytes(self._played)
        del self._played[: len(played)]
        return played

    def close(self) -> None:
        """Stop playing."""
        if self._output is not None:
            self._output.close()

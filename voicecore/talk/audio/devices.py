"""Owns the audio devices of this machine, through miniaudio: microphones and speakers."""

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
from voicecore.talk.audio.endpoints import AudioSink, DuplexBlock
from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.optional_deps import load

_CAPTURE_MS, _PLAYBACK_MS = 10, 20
"""Length of a device's period: half a block for the microphone, so that no block is later than
that; a whole block for the speaker, where a late block is a hole in the agent's voice."""
DEFAULT = "default"


class NoAudioDevice(VoicecoreError):
    """The machine has no microphone, no speaker or no audio system."""

    def __init__(self, what: str) -> None:
        install = {
            "linux": "Install and start a sound server:  sudo apt install pulseaudio && "
            "pulseaudio --start",
            "darwin": "Connect one and check System Settings › Sound.",
        }.get(sys.platform, "Connect one and check the system's sound settings.")
        super().__init__(
            f"This machine has no {what}.",
            f"{install}\nOr call without one: `voicecore talk --text` types, "
            "`voicecore talk --input question.wav` speaks a file.",
            ExitCode.MISSING_TOOL,
        )


class UnknownDevice(VoicecoreError):
    """No device, or more than one, has the name that was asked for."""


class MicrophoneDenied(VoicecoreError):
    """The system does not let this terminal use the microphone."""

    def __init__(self, reason: str) -> None:
        allow = {
            "darwin": "Allow it: System Settings › Privacy & Security › Microphone › your terminal "
            "app; then restart the terminal.",
            "win32": "Allow it: Settings › Privacy & security › Microphone › Let desktop apps.",
        }.get(
            sys.platform,
            "Check that no other program uses it, and that you are in the group `audio`.",
        )
        super().__init__(
            f"The microphone cannot be opened: {reason}.",
            f"{allow}\n`voicecore talk --text` and `--input question.wav` work without one.",
        )


@dataclass(frozen=True)
class Device:
    """An audio device: its name, and miniaudio's handle of it."""

    name: str
    handle: Any


@dataclass(frozen=True)
class Devices:
    """The audio devices of this machine; the first of each kind is the default."""

    microphones: tuple[Device, ...]
    speakers: tuple[Device, ...]


def list_devices() -> Devices:
    """Return all devices; none without an audio system."""
    miniaudio = load("miniaudio")
    with _alsa_silenced():
        try:
            # Without an audio system miniaudio would offer its null device, which hears nothing.
            found = miniaudio.Devices(_backends(miniaudio))
            return Devices(_devices(found.get_captures()), _devices(found.get_playbacks()))
        except miniaudio.MiniaudioError:
            return Devices((), ())


@contextmanager
def _alsa_silenced() -> Generator[None]:
    """Redirect file descriptor 2: ALSA's library writes to it if it finds no sound card."""
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
    """Return the device called `name`, or the only one whose name contains it; None is the default.

    Raises NoAudioDevice without any device, UnknownDevice if the name fits none or several.
    """
    if not devices:
        raise NoAudioDevice(kind)
    if name is None or name == DEFAULT:
        return None
    fitting = [d for d in devices if d.name == name] or [
        d for d in devices if name.lower() in d.name.lower()
    ]
    if len(fitting) != 1:
        number = "More than one" if fitting else "No"
        raise UnknownDevice(
            f"{number} {kind} is called {name!r}.",
            "Choose one of: " + ", ".join(device.name for device in fitting or devices),
            ExitCode.USAGE,
        )
    return fitting[0]


class Microphone:
    """Captures at SPEECH_RATE; its clock is the clock of the call.

    The device is open from `open` to `close`. Its thread hands each block to the event loop,
    together with what the speaker played meanwhile: an echo canceller must know what was played
    when, and a busy event loop would blur that.
    """

    def __init__(self, device: Device | None, speaker: AudioSink) -> None:
        self._device, self._speaker = device, speaker
        self._blocks: asyncio.Queue[DuplexBlock] = asyncio.Queue()
        self._capture: Any = None

    def open(self) -> None:
        """Begin to capture. Raises MicrophoneDenied."""
        miniaudio = load("miniaudio")
        loop = asyncio.get_running_loop()

        def deliver(block: bytes) -> None:  # on the device's thread
            both = DuplexBlock(block, self._speaker.played())
            loop.call_soon_threadsafe(self._blocks.put_nowait, both)

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

    async def blocks(self) -> AsyncIterator[DuplexBlock]:
        """Yield what is captured, and what is played meanwhile, without end."""
        while True:
            yield await self._blocks.get()

    def close(self) -> None:
        """Stop capturing."""
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
    """Plays the jitter buffer; remembers what was played since it was last asked."""

    def __init__(self, jitter_buffer: JitterBuffer, device: Device | None) -> None:
        self._jitter_buffer, self._device = jitter_buffer, device
        self._played = bytearray()
        self._output: Any = None

    def open(self) -> None:
        """Begin to play. Raises NoAudioDevice."""
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
        audio = b""
        while True:
            samples = yield audio
            audio = self._jitter_buffer.pull(samples)
            self._played += audio  # the interpreter lock makes appending and taking atomic

    def played(self) -> bytes:
        """Return what was played since the last call, PCM at VOICE_RATE."""
        played = bytes(self._played)
        del self._played[: len(played)]
        return played

    def close(self) -> None:
        """Stop playing."""
        if self._output is not None:
            self._output.close()

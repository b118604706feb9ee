"""Sound files: any of them read as speech to send, and what was said written down as WAV."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.audio import pcm, vad
from voicecore.talk.optional_deps import load


class NotAudio(VoicecoreError):
    """A file that was to be spoken holds no sound that can be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be spoken: {reason}.",
            "WAV, MP3 and FLAC can, at any sample rate, mono or stereo.",
            ExitCode.USAGE,
        )


@dataclass(frozen=True)
class Clip:
    """Something to say: PCM at SPEECH_RATE, in whole blocks; `voiced` samples until speech ends."""

    name: str
    sound: bytes
    voiced: int


def read_clip(path: Path) -> Clip:
    """The file as speech; raises NotAudio."""
    miniaudio = load("miniaudio")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotAudio(path, "there is no such file") from None
    except OSError as error:
        raise NotAudio(path, error.strerror or str(error)) from error
    if not data:
        raise NotAudio(path, "it is empty")
    try:
        # Decoded at its own rate: the resampler here is better than the decoder's linear one.
        info = miniaudio.decode(data, miniaudio.SampleFormat.SIGNED16, 1, _rate_of(data))
    except miniaudio.MiniaudioError:
        raise NotAudio(path, "it is no WAV, MP3 or FLAC file") from None
    sound = pcm.resample(bytes(info.samples), info.sample_rate, pcm.SPEECH_RATE)
    voiced = vad.last_voiced_sample(sound, pcm.SPEECH_RATE)
    if not voiced:
        raise NotAudio(path, "there is only silence in it")
    block = 2 * pcm.SPEECH_BLOCK
    return Clip(path.name, sound + bytes(-len(sound) % block), voiced)


def _rate_of(data: bytes) -> int:
    miniaudio = load("miniaudio")
    for info in (miniaudio.wav_get_info, miniaudio.flac_get_info, miniaudio.mp3_get_info):
        try:
            return int(info(data).sample_rate)
        except miniaudio.MiniaudioError:
            continue
    return pcm.SPEECH_RATE


class WavWriter:
    """A 16-bit WAV file at VOICE_RATE that is whole at every moment.

    The header is brought up to date once a second, so that a killed process leaves a file that
    plays. Opening raises the OSError of a path that cannot be written.
    """

    def __init__(self, path: Path, channels: int) -> None:
        self.path, self._channels = path, channels
        # What is there already goes only when there is something to put in its place.
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        self._bytes = self._in_header = 0
        self._begun = False

    def write(self, sound: bytes) -> None:
        """Append PCM, its channels interleaved."""
        if not self._begun:
            self._file.truncate(0)
            self._file.write(wav_header(0, self._channels, pcm.VOICE_RATE))
            self._begun = True
        self._file.write(sound)
        self._bytes += len(sound)
        if self._bytes - self._in_header >= 2 * self._channels * pcm.VOICE_RATE:
            self._update_header()

    def close(self) -> None:
        """Complete the file."""
        if not self._file.closed:
            if self._begun:
                self._update_header()
            self._file.close()

    def _update_header(self) -> None:
        self._file.seek(0)
        self._file.write(wav_header(self._bytes, self._channels, pcm.VOICE_RATE))
        self._file.seek(0, 2)
        self._file.flush()
        self._in_header = self._bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def wav_header(size: int, channels: int, rate: int) -> bytes:
    """The 44 bytes before `size` bytes of 16-bit PCM (RIFF WAVE, WAVE_FORMAT_PCM)."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate, 2 * channels * rate,
        2 * channels, 16, b"data", size,
    )  # fmt: skip


class Recorder:
    """A conversation as stereo WAV: you at the left, the agent at the right, as heard in time."""

    def __init__(self, path: Path) -> None:
        self._wav = WavWriter(path, channels=2)
        self._resampler = pcm.Resampler(pcm.SPEECH_RATE, pcm.VOICE_RATE)
        self._left, self._right = bytearray(), bytearray()

    def write(self, said: bytes, heard: bytes) -> None:
        """What was said (at SPEECH_RATE) and heard (at VOICE_RATE) in the same stretch of time.

        Two sound devices never deliver in step, so what one is ahead waits for the other.
        """
        self._left += self._resampler.feed(said)
        self._right += heard
        self._emit(min(len(self._left), len(self._right)))

    def close(self) -> None:
        """Complete the file."""
        length = max(len(self._left), len(self._right))
        self._left += bytes(length - len(self._left))
        self._right += bytes(length - len(self._right))
        self._emit(length)
        self._wav.close()

    def _emit(self, length: int) -> None:
        left, right = bytes(self._left[:length]), bytes(self._right[:length])
        del self._left[:length], self._right[:length]
        self._wav.write(np.column_stack([pcm.to_array(left), pcm.to_array(right)]).tobytes())

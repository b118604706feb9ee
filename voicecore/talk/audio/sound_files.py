"""Owns the sound files of a call: what was said, written as WAV."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from voicecore.project.no_links import refuse_links
from voicecore.talk.audio import pcm


class WavWriter:
    """Writes a 16-bit WAV file at VOICE_RATE that can be played at any time.

    The header is updated once a second, so that a killed process leaves a playable file. Only the
    user can read a new file. Raises OSError or LinkRefused if the path cannot be written.
    """

    def __init__(self, path: Path, channels: int) -> None:
        self.path, self._frame = path, 2 * channels
        refuse_links(path, path.parent)
        # An existing file is replaced only when there is something to write. Without a buffer, what
        # was written is on the disk when it becomes full.
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self._bytes = self._in_header = 0
        self._begun = False
        self.failure: OSError | None = None
        """Why writing stopped, such as a full disk; what was written by then can be played."""

    @property
    def seconds(self) -> float:
        """Duration of what was written."""
        return self._bytes / self._frame / pcm.VOICE_RATE

    def write(self, audio: bytes) -> None:
        """Append PCM with interleaved channels; do nothing after a failure."""
        if self.failure:
            return
        try:
            if not self._begun:
                self._file.truncate(0)
                self._file.write(self._header())
                self._begun = True
            rest = memoryview(audio)
            while rest:
                written = self._file.write(rest)
                self._bytes += written
                rest = rest[written:]
            if self._bytes - self._in_header >= self._frame * pcm.VOICE_RATE:
                self._update_header()
        except OSError as error:
            self.failure = error

    def close(self) -> None:
        """Complete the file."""
        if self._file.closed:
            return
        try:
            if self._begun:
                self._update_header()
            self._file.close()
        except OSError as error:
            self.failure = self.failure or error

    def _header(self) -> bytes:
        whole = self._bytes // self._frame * self._frame
        return wav_header(whole, self._frame // 2, pcm.VOICE_RATE)

    def _update_header(self) -> None:
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, 2)
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
    """Return the 44 bytes before `size` bytes of 16-bit PCM (RIFF WAVE, WAVE_FORMAT_PCM)."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate, 2 * channels * rate,
        2 * channels, 16, b"data", size,
    )  # fmt: skip


class Recorder:
    """Records a call as stereo WAV: the user left, the agent right, as they were heard."""

    def __init__(self, path: Path) -> None:
        self.wav = WavWriter(path, channels=2)
        self._resampler = pcm.Resampler(pcm.SPEECH_RATE, pcm.VOICE_RATE)
        self._left, self._right = bytearray(), bytearray()

    def write(self, said: bytes, played: bytes) -> None:
        """Append what was said (at SPEECH_RATE) and played (at VOICE_RATE) at the same time.

        Two audio devices never deliver in step, so the one that is ahead waits for the other.
        """
        self._left += self._resampler.feed(said)
        self._right += played
        self._emit(min(len(self._left), len(self._right)))

    def close(self) -> None:
        """Complete the file."""
        length = max(len(self._left), len(self._right))
        self._left += bytes(length - len(self._left))
        self._right += bytes(length - len(self._right))
        self._emit(length)
        self.wav.close()

    def _emit(self, length: int) -> None:
        left, right = bytes(self._left[:length]), bytes(self._right[:length])
        del self._left[:length], self._right[:length]
        self.wav.write(np.column_stack([pcm.to_array(left), pcm.to_array(right)]).tobytes())

"""Owns speech of the stand-ins: espeak-ng for synthesis, signal energy for voice activity."""

from __future__ import annotations

import functools
import io
import subprocess
import wave
from enum import Enum, auto

import numpy as np

from tests.requirements import require

_LOUD = 500  # RMS of 16-bit samples; speech at a normal level is 1000-6000, line noise below 100
_WINDOW_SECONDS = 0.02


@functools.cache
def say(text: str, rate: int) -> bytes:
    """Return `text`, which must have words, spoken by espeak-ng as mono PCM16 at `rate` Hz."""
    require("espeak-ng")
    done = subprocess.run(
        ["espeak-ng", "--stdin", "--stdout"], input=text.encode(), capture_output=True, check=True
    )
    with wave.open(io.BytesIO(done.stdout)) as sound:
        # espeak-ng writes to a pipe, so the length in its header is wrong: read to the end.
        source = np.frombuffer(sound.readframes(2**30), np.int16)
        spoken_at = sound.getframerate()
    length = int(len(source) * rate / spoken_at)
    times = np.arange(length) * (spoken_at / rate)
    return np.interp(times, np.arange(len(source)), source).astype(np.int16).tobytes()


def seconds(pcm: bytes, rate: int) -> float:
    """Return the duration of mono PCM16."""
    return len(pcm) / 2 / rate


class Speaking(Enum):
    """A detected change of voice activity."""

    STARTED = auto()
    STOPPED = auto()


class VoiceActivity:
    """Voice activity by signal energy. `start` and `stop` are seconds of sound and of silence."""

    def __init__(self, rate: int, start: float = 0.12, stop: float = 0.5) -> None:
        self._window = int(rate * _WINDOW_SECONDS) * 2
        self._start, self._stop = start, stop
        self._left = b""
        self._loud = self._quiet = 0.0
        self.hears_speech = False

    def listen(self, pcm: bytes) -> list[Speaking]:
        """Return the changes within `pcm` (mono PCM16)."""
        changes: list[Speaking] = []
        sound = self._left + pcm
        whole = len(sound) - len(sound) % self._window
        self._left = sound[whole:]
        for at in range(0, whole, self._window):
            samples = np.frombuffer(sound[at : at + self._window], np.int16).astype(np.float64)
            changes += self._hear(bool(np.sqrt(np.mean(samples**2)) > _LOUD))
        return changes

    def _hear(self, loud: bool) -> list[Speaking]:
        if loud:
            self._loud, self._quiet = self._loud + _WINDOW_SECONDS, 0.0
        else:
            self._quiet += _WINDOW_SECONDS
        if not self.hears_speech and self._loud >= self._start:
            self.hears_speech = True
            return [Speaking.STARTED]
        if self._quiet >= self._stop:
            self._loud = 0.0
            if self.hears_speech:
                self.hears_speech = False
                return [Speaking.STOPPED]
        return []

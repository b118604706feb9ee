"""Owns phone audio: its formats, decoding, voice detection, and the recorded apology."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

APOLOGY = Path(__file__).with_name("apology.ulaw")
"""8 kHz, μ-law: "I am sorry, I cannot be reached at the moment. Please call again later." """

# Of 32,767. The noise of a line reaches 50, quiet speech 1000.
LOUD = 400
PAUSE_SECONDS = 0.8
"""Silence after which the caller has finished."""
GAP_SECONDS = 3.0
"""Silence between words that belong to different questions."""
LATE_SECONDS = 15.0
"""Silence after which no answer will come."""


def _ulaw(code: int) -> int:
    """Return a μ-law code as a 16-bit sample (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw(code: int) -> int:
    """Return an A-law code as a 16-bit sample (ITU-T G.711, table 1a)."""
    code ^= 0x55
    segment, magnitude = code >> 4 & 7, ((code & 0x0F) << 4) + 8
    if segment:
        magnitude = magnitude + 0x100 << segment - 1
    return magnitude if code & 0x80 else -magnitude


LINEAR = {
    name: [decode(code) for code in range(256)]
    for name, decode in (("ulaw", _ulaw), ("alaw", _alaw))
}
QUIET = {
    name: bytes(code for code in range(256) if abs(linear[code]) <= LOUD)
    for name, linear in LINEAR.items()
}
RATES = (8000, 16_000, 24_000, 48_000)


@dataclass(frozen=True)
class Format:
    """A format of mono audio: "ulaw" or "alaw" (ITU-T G.711), or "pcm" (16-bit, little-endian)."""

    encoding: str
    rate: int
    """Samples per second."""

    @property
    def is_known(self) -> bool:
        """False for a format that neither this server nor the agent can decode."""
        return self.encoding in (*LINEAR, "pcm") and self.rate in RATES

    @property
    def bytes_per_second(self) -> int:
        """Size of one second of audio."""
        return self.rate * (1 if self.encoding in LINEAR else 2)

    def seconds(self, audio: bytes) -> float:
        """Return the duration of the audio."""
        return len(audio) / self.bytes_per_second

    def is_loud(self, audio: bytes) -> bool:
        """Return True if the audio is louder than line noise."""
        if self.encoding in LINEAR:
            return bool(audio.translate(None, QUIET[self.encoding]))
        decoded = samples(audio, self.encoding)
        return bool(decoded) and max(max(decoded), -min(decoded)) > LOUD


def samples(audio: bytes, encoding: str) -> array[int]:
    """Return the audio as 16-bit samples."""
    if encoding in LINEAR:
        linear = LINEAR[encoding]
        return array("h", [linear[code] for code in audio])
    decoded = array("h", audio[: len(audio) // 2 * 2])
    if sys.byteorder == "big":
        decoded.byteswap()
    return decoded


def unanswered(loud: Sequence[bool], frame_seconds: float) -> slice:
    """Return the frames to send again to an agent that missed them.

    `loud` are the frames since the agent last spoke. If the agent had time to answer, none. Else
    the last words, with half a pause before and a whole one after them: speech detection needs
    silence to notice where words start and end.
    """
    pause, gap, late = (
        round(length / frame_seconds) for length in (PAUSE_SECONDS, GAP_SECONDS, LATE_SECONDS)
    )
    spoken = [index for index, is_spoken in enumerate(loud) if is_spoken]
    if not spoken or len(loud) - spoken[-1] > late:
        return slice(0)
    first = spoken[-1]
    for index in reversed(spoken):
        if first - index > gap:
            break
        first = index
    return slice(max(0, first - pause // 2), spoken[-1] + 1 + pause)


@cache
def apology(format: Format) -> bytes:
    """Return the recorded apology, in μ-law or in 16-bit samples."""
    recorded = APOLOGY.read_bytes()
    if format.encoding == "ulaw":
        return recorded
    times, narrow = format.rate // 8000, samples(recorded, "ulaw")
    wide = array("h")
    for sample, following in zip(narrow, [*narrow[1:], 0], strict=True):
        wide.extend(sample + (following - sample) * step // times for step in range(times))
    return wide.tobytes()

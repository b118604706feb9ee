"""Owns phone audio: decoding, voice detection, and the recorded apology."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
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


def _linear(code: int) -> int:
    """Return a μ-law code as a 16-bit sample (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = [_linear(code) for code in range(256)]
QUIET = bytes(code for code in range(256) if abs(LINEAR[code]) <= LOUD)


def samples(audio: bytes, encoding: str) -> array[int]:
    """Return 16-bit samples of μ-law audio ("ulaw"), or of little-endian 16-bit audio ("pcm")."""
    if encoding == "ulaw":
        return array("h", [LINEAR[code] for code in audio])
    decoded = array("h", audio[: len(audio) // 2 * 2])
    if sys.byteorder == "big":
        decoded.byteswap()
    return decoded


def seconds(audio: bytes, encoding: str, rate: int) -> float:
    """Return the duration of the audio."""
    return len(audio) / (1 if encoding == "ulaw" else 2) / rate


def is_loud(audio: bytes, encoding: str) -> bool:
    """Return True if the audio is louder than line noise."""
    if encoding == "ulaw":
        return bool(audio.translate(None, QUIET))
    decoded = samples(audio, encoding)
    return bool(decoded) and max(max(decoded), -min(decoded)) > LOUD


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
def apology(encoding: str, rate: int) -> bytes:
    """Return the recorded apology, in 8 kHz μ-law, or in 16-bit samples at 8 or 16 kHz."""
    recorded = APOLOGY.read_bytes()
    if encoding == "ulaw":
        return recorded
    narrow = samples(recorded, "ulaw")
    if rate == 8000:
        return narrow.tobytes()
    between = [(a + b) // 2 for a, b in zip(narrow, [*narrow[1:], 0], strict=True)]
    return array("h", [s for pair in zip(narrow, between, strict=True) for s in pair]).tobytes()

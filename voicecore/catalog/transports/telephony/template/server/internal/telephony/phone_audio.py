"""Sound of telephones: whether somebody speaks in it, and the words of apology."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from functools import cache
from pathlib import Path

APOLOGY = Path(__file__).with_name("apology.ulaw")
"""8 kHz, μ-law: "I am sorry, I cannot be reached at the moment. Please call again later." """

# Of 32,767. Lines hiss at 50, and who speaks softly into a telephone reaches 1000.
LOUD = 400
PAUSE_SECONDS = 0.8
"""Of silence, after which whoever spoke has finished."""
GAP_SECONDS = 3.0
"""Of silence, between words that belong to different questions."""
LATE_SECONDS = 15.0
"""Of silence, after which no answer will come."""


def _linear(code: int) -> int:
    """A code of μ-law as a sample of 16 bits (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = [_linear(code) for code in range(256)]
QUIET = bytes(code for code in range(256) if abs(LINEAR[code]) <= LOUD)


def samples(sound: bytes, encoding: str) -> array[int]:
    """Samples of 16 bits, of sound in μ-law ("ulaw") or of little-endian samples already."""
    if encoding == "ulaw":
        return array("h", [LINEAR[code] for code in sound])
    decoded = array("h", sound[: len(sound) // 2 * 2])
    if sys.byteorder == "big":
        decoded.byteswap()
    return decoded


def seconds(sound: bytes, encoding: str, rate: int) -> float:
    """How long it lasts."""
    return len(sound) / (1 if encoding == "ulaw" else 2) / rate


def is_loud(sound: bytes, encoding: str) -> bool:
    """Whether there is more in it than a line's hiss."""
    if encoding == "ulaw":
        return bool(sound.translate(None, QUIET))
    heard = samples(sound, encoding)
    return bool(heard) and max(max(heard), -min(heard)) > LOUD


def unanswered(loud: Sequence[bool], frame_seconds: float) -> slice:
    """Of frames that came since the agent last spoke: those to say again to one who missed them.

    Nothing, where the agent has had time to answer; else the last words, with a pause before them,
    as a listener needs some to notice that words begin, and one after them, to notice the end.
    """
    pause, gap, late = (
        round(wanted / frame_seconds) for wanted in (PAUSE_SECONDS, GAP_SECONDS, LATE_SECONDS)
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
    """The words of apology, in 8 kHz μ-law, or in samples at 8 or 16 kHz."""
    recorded = APOLOGY.read_bytes()
    if encoding == "ulaw":
        return recorded
    narrow = samples(recorded, "ulaw")
    if rate == 8000:
        return narrow.tobytes()
    between = [(a + b) // 2 for a, b in zip(narrow, [*narrow[1:], 0], strict=True)]
    return array("h", [s for pair in zip(narrow, between, strict=True) for s in pair]).tobytes()

"""Sound of telephones: whether somebody speaks in it, and the words of apology."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from functools import cache
from pathlib import Path

Loudness = tuple[bool, float]
"""Whether somebody speaks in a frame, and the seconds that it lasts."""

APOLOGY = Path(__file__).with_name("apology.ulaw")
"""8 kHz, μ-law: "I am sorry, I cannot be reached at the moment. Please call again later." """

# Of 32,767. Lines hiss at 50, and who speaks softly into a telephone reaches 1000.
LOUD = 400
PAUSE_SECONDS = 0.8
"""Of silence, after which whoever spoke has finished."""


def _linear(code: int) -> int:
    """A code of μ-law as a sample of 16 bits (ITU-T G.711, table 2a)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR = [_linear(code) for code in range(256)]


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
    return any(abs(sample) > LOUD for sample in samples(sound, encoding))


def spoke_lately(frames: Iterable[Loudness]) -> bool:
    """Whether anybody spoke within PAUSE_SECONDS; of frames, the last one first."""
    silent = 0.0
    for loud, lasted in frames:
        silent += lasted
        if loud or silent >= PAUSE_SECONDS:
            return loud
    return False


def unfinished(frames: Iterable[Loudness]) -> int:
    """How many frames, the last one first, are of words that were still being spoken.

    0 if there has been silence for PAUSE_SECONDS.
    """
    silent, words, lead = 0.0, 0, 0
    for count, (loud, lasted) in enumerate(frames, start=1):
        silent = 0.0 if loud else silent + lasted
        if loud:
            words = lead = count
        elif silent <= PAUSE_SECONDS / 2:
            lead = count  # whoever listens needs some silence to notice that words begin
        elif silent >= PAUSE_SECONDS:
            break
    return lead if words else 0


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

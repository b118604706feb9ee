"""Owns the rounds of all fuzzers: the same seeds in each run, for FUZZ_SECONDS (15).

A failure names its seed; `FUZZ_SEED=SEED` begins with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from random import Random

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 15)
FIRST = int(os.environ.get("FUZZ_SEED") or 0)


def rounds(share: float = 1) -> Iterator[tuple[int, Random]]:
    """Yield a seed and its random numbers for each round, for this share of the time."""
    end, seed = time.monotonic() + SECONDS * share, FIRST
    while seed == FIRST or time.monotonic() < end:
        yield seed, Random(seed)
        seed += 1

"""How late a core wakes who sleeps on it: `python -m benchmarks.sleeper`, until SIGTERM.

A scheduler gives a busy core within some ms to who has slept. Where that takes longer, the machine
itself stood still, as a guest does while its host has other work.
"""

import signal
import time

STEP_SECONDS = 0.001

ended: list[int] = []
signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
latest = 0.0
while not ended:
    due = time.monotonic() + STEP_SECONDS
    time.sleep(STEP_SECONDS)
    latest = max(latest, time.monotonic() - due)
print(1000 * latest)

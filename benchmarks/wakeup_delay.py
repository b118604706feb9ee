"""Measure how late this machine wakes a sleeping process, in ms, until SIGTERM.

`python -m benchmarks.wakeup_delay`. A scheduler gives a busy core to a waking process within a
few ms. A longer delay means that the machine itself stood still, as a guest does while its host is
busy.
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

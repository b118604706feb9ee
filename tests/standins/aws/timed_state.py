"""States that take their time: CREATING until a moment, then READY."""

from __future__ import annotations

from dataclasses import dataclass

from tests.standins.aws.clock import Clock


@dataclass
class TimedState:
    """A status that turns into another one by itself. `until` is in the clock's seconds."""

    status: str
    then: str = ""
    until: float = 0.0
    reason: str | None = None  # why it failed, told once it has

    def now(self, clock: Clock) -> str:
        if self.then and clock.seconds() >= self.until:
            self.status, self.then = self.then, ""
        return self.status

    def turn(
        self, clock: Clock, status: str, then: str, seconds: float, reason: str | None = None
    ) -> None:
        self.status, self.then, self.until = status, then, clock.seconds() + seconds
        self.reason = reason

    def why(self, clock: Clock) -> str | None:
        return self.reason if self.now(clock).endswith("FAILED") else None


def timed_state(
    clock: Clock, status: str, then: str, seconds: float, reason: str | None = None
) -> TimedState:
    made = TimedState(status)
    made.turn(clock, status, then, seconds, reason)
    return made

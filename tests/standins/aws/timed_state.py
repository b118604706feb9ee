"""Owns states that change with time: CREATING until a moment, then READY."""

from __future__ import annotations

from dataclasses import dataclass

from tests.standins.aws.clock import Clock


@dataclass
class TimedState:
    """A status that becomes `then` at the clock's second `until`."""

    status: str
    then: str = ""
    until: float = 0.0
    reason: str | None = None  # of a failure, shown once it has failed

    def now(self, clock: Clock) -> str:
        """Return the current status."""
        if self.then and clock.seconds() >= self.until:
            self.status, self.then = self.then, ""
        return self.status

    def change(
        self, clock: Clock, status: str, then: str, seconds: float, reason: str | None = None
    ) -> None:
        """Set a status now, and the one that follows after `seconds`."""
        self.status, self.then, self.until = status, then, clock.seconds() + seconds
        self.reason = reason

    def failure(self, clock: Clock) -> str | None:
        """Return why it failed; None if it has not."""
        return self.reason if self.now(clock).endswith("FAILED") else None


def timed_state(
    clock: Clock, status: str, then: str, seconds: float, reason: str | None = None
) -> TimedState:
    """Return a state that becomes `then` after `seconds`."""
    state = TimedState(status)
    state.change(clock, status, then, seconds, reason)
    return state

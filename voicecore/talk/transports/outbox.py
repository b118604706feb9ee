"""Owns messages to the agent: each is sent again on a new connection until the agent has it."""

from __future__ import annotations

from collections import deque
from typing import Any

from voicecore.talk.channel import Delivery
from voicecore.talk.transports import rtvi


class Outbox:
    """Messages that no event of the agent has confirmed, in order."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque()
        self._sent: deque[dict[str, Any]] = deque()
        self._has_receipts = False

    def __bool__(self) -> bool:
        """Return whether a message waits to be sent on this connection."""
        return bool(self._waiting)

    def post(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._waiting.append(message)

    def take(self) -> dict[str, Any]:
        """Return the next message to send on this connection."""
        self._sent.append(self._waiting.popleft())
        return self._sent[-1]

    def rewind(self) -> None:
        """Begin a new connection: everything unconfirmed is to be sent on it."""
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()

    def receive(self, event: Delivery) -> None:
        """Drop what an event of the agent confirms."""
        match event:
            case rtvi.TextReceived(message):
                self._has_receipts = True
                ids = [each["id"] for each in self._sent]
                for _ in range(ids.index(message) + 1 if message in ids else 0):
                    self._sent.popleft()
            case rtvi.BotThinking() | rtvi.BotStarted() | rtvi.BotOutput():
                # An agent without receipts shows by its reply that it has received everything.
                if not self._has_receipts:
                    self._sent.clear()
            case _:
                pass

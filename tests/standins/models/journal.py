"""Owns the journal: the requests and actions of the stand-ins, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One event at a service; `at` is monotonic seconds."""

    service: str
    what: str
    detail: Mapping[str, Any]
    at: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"{self.service:<12} {self.what:<14} {dict(self.detail)}"


class Journal:
    """The list of entries; it only grows."""

    def __init__(self, echo: bool = False) -> None:
        self.entries: list[Entry] = []
        self._echo = echo
        self._changed = asyncio.Event()

    def note(self, service: str, what: str, **detail: Any) -> None:
        entry = Entry(service, what, detail)
        self.entries.append(entry)
        self._changed.set()
        if self._echo:
            print(entry, flush=True)

    def find(self, service: str, what: str) -> list[Entry]:
        return [e for e in self.entries if (e.service, e.what) == (service, what)]

    @property
    def refusals(self) -> list[Entry]:
        """All requests that AWS would refuse, too. Empty in a healthy conversation."""
        return [e for e in self.entries if e.what == "refused"]

    async def until(self, service: str, what: str, count: int = 1, seconds: float = 120) -> None:
        """Wait for the count-th such entry. Raises TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while len(self.find(service, what)) < count:
                self._changed.clear()
                await self._changed.wait()

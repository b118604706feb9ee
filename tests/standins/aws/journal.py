"""Owns the journal: every call that reached the stand-in, in order, with its result."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

_READS = ("Get", "Describe", "List", "BatchGet", "Lookup", "Filter", "Head", "Simulate", "Validate",
          "StartLiveTail", "StartQuery", "DetectStackDrift")  # fmt: skip

# These only read, although their names do not say so.
_READ_ACTIONS = {"ecr:BatchCheckLayerAvailability", "sts:AssumeRole"}


@dataclass(frozen=True)
class JournalEntry:
    """One call. `by` is "client", or the service that called for a client."""

    action: str  # IAM action: "ec2:CreateVpc"
    region: str
    params: Mapping[str, Any]
    by: str
    at: float  # seconds of the clock
    answer: str = "ok"  # or the error code

    @property
    def changes(self) -> bool:
        """True when such a call can change something."""
        name = self.action.partition(":")[2]
        return not name.startswith(_READS) and self.action not in _READ_ACTIONS

    def __str__(self) -> str:
        params = {
            k: "***" if "Secret" in k and k != "SecretId" else v for k, v in self.params.items()
        }
        return (
            f"{self.at:8.2f} {self.by:<14} {self.action:<44} {self.answer:<24} {str(params)[:160]}"
        )


class Journal:
    """The list of entries, which grows until `clear`."""

    def __init__(self, echo: bool = False) -> None:
        self._entries: list[JournalEntry] = []
        self._echo = echo
        self._lock = threading.Lock()

    def add(self, entry: JournalEntry) -> None:
        with self._lock:
            self._entries.append(entry)
            if self._echo:
                print(entry, flush=True)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def __iter__(self) -> Iterator[JournalEntry]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, pattern: str, by: str = "client") -> list[JournalEntry]:
        """Return entries whose action matches ("ec2:Create*"), of one caller or of any ("*")."""
        return [e for e in self if fnmatchcase(e.action, pattern) and fnmatchcase(e.by, by)]

    @property
    def changes(self) -> list[JournalEntry]:
        """The client's successful calls that could change something."""
        return [e for e in self.find("*") if e.changes and e.answer == "ok"]

    def counts(self, by: str = "client") -> Counter[str]:
        return Counter(e.action for e in self.find("*", by))

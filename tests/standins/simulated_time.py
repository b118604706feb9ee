"""Owns an event loop in which waiting takes no time, for tests of limits of minutes."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

_PATIENCE = 0.05
"""Seconds for which data on a socket of this machine may be on its way."""


class _Selector(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _PATIENCE:
            return super().select(timeout)
        ready = super().select(_PATIENCE)
        if not ready:
            self.skipped += timeout - _PATIENCE
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skipping = _Selector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return super().time() + self._skipping.skipped


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of `work`; when nothing can happen, time moves on to the next timer."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)

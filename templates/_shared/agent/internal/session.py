"""Owns what the client has sent for this session: `session.data` in bot.py.

It is the `body` of POST /start, the `requestData` of a WebRTC offer, or the parameters of a phone
call: JSON of 8 kB at most. It comes from the caller's side, so check what you rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A process serves one session.
data: dict[str, Any] = {}


def receive(sent: Mapping[str, Any]) -> None:
    """Replace the data, when the session starts and each time the client sends more."""
    data.clear()
    data.update(sent)

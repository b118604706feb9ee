"""Makes up an account at Plivo."""

from __future__ import annotations

import secrets
from collections.abc import Mapping


def complete(known: Mapping[str, str]) -> dict[str, str]:
    """Return `known`, with made-up values for what is missing."""
    return {
        "PLIVO_AUTH_ID": f"MA{secrets.token_hex(9).upper()}",
        "PLIVO_AUTH_TOKEN": secrets.token_urlsafe(30),
        **known,
    }

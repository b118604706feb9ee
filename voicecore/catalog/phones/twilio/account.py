"""Makes up an account at Twilio."""

from __future__ import annotations

import secrets
from collections.abc import Mapping


def complete(known: Mapping[str, str]) -> dict[str, str]:
    """Return `known`, with made-up values for what is missing."""
    return {
        "TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}",
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
        **known,
    }

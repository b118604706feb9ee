"""Makes up an account at Exotel."""

from __future__ import annotations

import secrets
from collections.abc import Mapping


def complete(known: Mapping[str, str]) -> dict[str, str]:
    """Return `known`, with made-up values for what is missing."""
    return {
        "EXOTEL_ACCOUNT_SID": f"voicecore{secrets.randbelow(1000)}",
        "EXOTEL_API_KEY": secrets.token_hex(24),
        "EXOTEL_API_TOKEN": secrets.token_hex(24),
        "EXOTEL_APP_ID": str(secrets.randbelow(10**6)),
        **known,
    }

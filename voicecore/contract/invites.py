"""Owns invites: expiring permissions to start sessions, signed with the session server's key."""

from __future__ import annotations

import base64
import hashlib
import hmac


def sign_invite(key: str, until: float) -> str:
    """Return an invite that is valid until then (Unix time), as the server's access.py signs it."""
    expiry = str(int(until))
    digest = hmac.digest(key.encode(), f"invite:{expiry}".encode(), hashlib.sha256)[:16]
    return f"invite.{expiry}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"

"""Owns invites: expiring permissions to start sessions, signed with the session server's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

INVITE = re.compile(r"invite\.([0-9a-f]{8})\.[0-9]+\.[A-Za-z0-9_-]+")
"""An invite; the group is its ID, which is enough to revoke it."""


def sign_invite(key: str, until: float, id: str = "") -> str:
    """Return an invite that is valid until then (Unix time), as the server's access.py signs it."""
    head = f"{id or secrets.token_hex(4)}.{int(until)}"
    digest = hmac.digest(key.encode(), f"invite:{head}".encode(), hashlib.sha256)[:16]
    return f"invite.{head}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def invite_id(text: str) -> str | None:
    """Return the ID of the invite in `text`, such as a link or the ID itself; None without one."""
    found = INVITE.search(text)
    return found[1] if found else text if re.fullmatch(r"[0-9a-f]{8}", text) else None

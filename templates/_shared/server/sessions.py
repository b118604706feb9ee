"""Session ids and the tokens that bind a session to the caller who started it."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid

# AgentCore takes ids of 33 to 100 of these characters; uuid4 makes 36, of 122 random bits.
SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{32,99}")


def new_session_id() -> str:
    """An id that nobody can guess."""
    return str(uuid.uuid4())


def token_for(session_id: str, key: str) -> str:
    """What the caller shows to use this session again: an HMAC of its id under the server's key.

    The server remembers nothing, so any copy of it can check any token.
    """
    return hmac.new(key.encode(), f"session:{session_id}".encode(), hashlib.sha256).hexdigest()


def owns(session_id: str, token: str, key: str) -> bool:
    """Whether `token` was made for this session; takes equally long either way."""
    return hmac.compare_digest(token_for(session_id, key).encode(), token.encode())

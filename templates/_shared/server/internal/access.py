"""Who may: callers by key, invite or JWT, and the tokens that bind a session to its caller.

`uv run --env-file .env -m internal.access 0.5` prints an invite for half an hour (default: 12 h).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import sys
import time
import uuid
from dataclasses import dataclass

import jwt

from .api_errors import ApiError
from .issuer import Issuer, NotIssued
from .settings import Settings, read_key

# A token lives as long as its session may at AgentCore; hanging up ends both.
SESSION_SECONDS = 8 * 3600
INVITE_HOURS = 12.0


@dataclass(frozen=True)
class Session:
    """A conversation: who holds it, how, and since when (Unix time)."""

    id: str
    caller: str
    transport: str
    since: int


class Access:
    """Knows callers and their sessions by nothing but the key: every copy of the server can."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.key.encode()
        self._secret = hmac.digest(self._key, b"session tokens", hashlib.sha256)
        self._issuer = (
            Issuer(settings.discovery_url, settings.audience) if settings.discovery_url else None
        )

    def has_key(self, authorization: str) -> bool:
        """Whether this header shows the key; takes equally long either way."""
        return hmac.compare_digest(authorization.encode(), b"Bearer " + self._key)

    async def caller_of(self, authorization: str) -> str:
        """Who shows this header, by a name that tells no secret. Raises ApiError."""
        scheme, _, credential = authorization.partition(" ")
        if self.has_key(authorization):
            return "key"
        if scheme.lower() == "bearer" and credential.startswith("invite."):
            if is_invite(credential, self._key, time.time()):
                return f"invite-{hashlib.sha256(credential.encode()).hexdigest()[:12]}"
            raise ApiError(401, "unauthorized", "This invitation has expired, or is none of ours.")
        if scheme.lower() == "bearer" and self._issuer and credential.count(".") == 2:
            try:
                subject = await self._issuer.subject_of(credential)
            except NotIssued as error:
                raise ApiError(401, "unauthorized", f"This token is not good: {error}.") from error
            return f"jwt-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
        raise ApiError(401, "unauthorized", "Send the header Authorization: Bearer <key>.")

    def alias(self, kind: str, name: str) -> str:
        """Whoever has this name, by one that does not tell it to who has no key."""
        return f"{kind}-{hmac.digest(self._secret, name.encode(), hashlib.sha256).hex()[:12]}"

    def token_for(self, session: Session) -> str:
        """What opens this session, to whoever shows it, until it ends."""
        claims = {
            "sid": session.id,
            "sub": session.caller,
            "transport": session.transport,
            "iat": session.since,
            "exp": session.since + SESSION_SECONDS,
        }
        return jwt.encode(claims, self._secret, "HS256")

    def session_of(self, session_id: str, token: str) -> Session:
        """The session that this token was made for. Raises ApiError."""
        try:
            claims = jwt.decode(token, self._secret, ["HS256"])
        except (jwt.InvalidTokenError, UnicodeError):
            claims = {}
        if claims.get("sid") != session_id:
            raise ApiError(403, "wrong_token", "This token does not belong to this session.")
        return Session(session_id, claims["sub"], claims["transport"], claims["iat"])


def new_session_id() -> str:
    """An id that nobody can guess: it has 122 random bits."""
    return str(uuid.uuid4())


def invite(key: bytes, until: float) -> str:
    """What may start sessions until then (Unix time): so the key itself reaches no browser."""
    expiry = str(int(until))
    # Half of the digest, as RFC 2104 allows: an address with it fits on a line.
    digest = hmac.digest(key, f"invite:{expiry}".encode(), hashlib.sha256)[:16]
    return f"invite.{expiry}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def is_invite(text: str, key: bytes, now: float) -> bool:
    """Whether this key made the invite, and it has not expired."""
    _, _, rest = text.partition(".")
    expiry = rest.partition(".")[0]
    if not re.fullmatch("[0-9]{1,11}", expiry) or int(expiry) <= now:
        return False
    return hmac.compare_digest(text.encode(), invite(key, int(expiry)).encode())


if __name__ == "__main__":
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else INVITE_HOURS
    print(invite(read_key(os.environ).encode(), time.time() + hours * 3600))

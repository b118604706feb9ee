"""Owns access: callers by key, invite or JWT, and the tokens that bind a session to its caller.

`uv run --env-file .env -m internal.access 0.5` prints an invite for half an hour (default: 12 h).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from .api_errors import ApiError
from .settings import Settings, read_key

# A token is valid for as long as AgentCore keeps a session; a hang-up ends both.
SESSION_SECONDS = 8 * 3600
INVITE_HOURS = 12.0
# The longest life of an invite; the session table remembers for as long that one was revoked.
INVITE_DAYS_MAX = 31
INVITE_ID = "[0-9a-f]{8}"
# Callers with an invite are named so, followed by its ID.
INVITED = "invite-"
# The head of a session's token, a JWT: {"alg":"HS256","typ":"JWT"}. No other is accepted.
HEAD = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"


@dataclass(frozen=True)
class Session:
    """A session: its caller, its transport, and its start (Unix time)."""

    id: str
    caller: str
    transport: str
    since: int


class Access:
    """Checks callers and sessions with the key alone, so that all copies of the server agree."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.key.encode()
        self._secret = hmac.digest(self._key, b"session tokens", hashlib.sha256)
        self._issuer = None
        if settings.discovery_url:
            from .issuer import Issuer  # and PyJWT with cryptography, which take 0.1 s to import

            self._issuer = Issuer(settings.discovery_url, settings.audience)

    def has_key(self, authorization: str) -> bool:
        """Return True if the header has the key; takes the same time either way."""
        return hmac.compare_digest(authorization.encode(), b"Bearer " + self._key)

    async def caller_of(self, authorization: str) -> str:
        """Return a name for the caller of this header, without secrets. Raises ApiError."""
        scheme, _, credential = authorization.partition(" ")
        if self.has_key(authorization):
            return "key"
        if scheme.lower() == "bearer" and credential.startswith("invite."):
            if is_invite(credential, self._key, time.time()):
                return f"{INVITED}{credential.split('.')[1]}"
            raise ApiError(401, "unauthorized", "This invite is not valid or has expired.")
        if scheme.lower() == "bearer" and self._issuer and credential.count(".") == 2:
            subject = await self._issuer.subject_of(credential)
            return f"jwt-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
        raise ApiError(401, "unauthorized", "Send the header Authorization: Bearer <key>.")

    def alias(self, kind: str, name: str) -> str:
        """Return a stable name for `name` that does not reveal it."""
        return f"{kind}-{hmac.digest(self._secret, name.encode(), hashlib.sha256).hex()[:12]}"

    def token_for(self, session: Session) -> str:
        """Return the token that gives access to this session until it ends."""
        claims = {
            "sid": session.id,
            "sub": session.caller,
            "transport": session.transport,
            "iat": session.since,
            "exp": session.since + SESSION_SECONDS,
        }
        text = f"{HEAD}.{_encoded(json.dumps(claims).encode())}"
        return f"{text}.{self._signature(text)}"

    def session_of(self, session_id: str, token: str) -> Session:
        """Return the session that this token belongs to. Raises ApiError."""
        claims = self._claims_of(token)
        if claims.get("sid") != session_id or claims["exp"] <= time.time():
            raise ApiError(403, "wrong_token", "This token does not belong to this session.")
        return Session(session_id, claims["sub"], claims["transport"], claims["iat"])

    def _claims_of(self, token: str) -> dict[str, Any]:
        """Return what a token of ours says; nothing of any other."""
        text, _, signature = token.rpartition(".")
        head, _, payload = text.partition(".")
        if head != HEAD or not token.isascii():
            return {}
        if not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return {}
        return json.loads(_decoded(payload))

    def _signature(self, text: str) -> str:
        return _encoded(hmac.digest(self._secret, text.encode(), hashlib.sha256))


def new_session_id() -> str:
    """Return an ID with 122 random bits."""
    return str(uuid.uuid4())


def invite(key: bytes, until: float, id: str = "") -> str:
    """Return an invite to start sessions until this Unix time, so that no browser gets the key.

    Its ID is random, so that it can be revoked alone: DELETE /invites/<ID>.
    """
    head = f"{id or secrets.token_hex(4)}.{int(until)}"
    # Half of the digest, as RFC 2104 allows, keeps the address short.
    digest = hmac.digest(key, f"invite:{head}".encode(), hashlib.sha256)[:16]
    return f"invite.{head}.{_encoded(digest)}"


def is_invite(text: str, key: bytes, now: float) -> bool:
    """Return True if this key signed the invite, and it has not expired."""
    found = re.fullmatch(rf"invite\.({INVITE_ID})\.([0-9]{{1,11}})\.[\w-]+", text, re.ASCII)
    if not found or not now < int(found[2]) <= now + INVITE_DAYS_MAX * 86_400:
        return False
    return hmac.compare_digest(text.encode(), invite(key, int(found[2]), found[1]).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else INVITE_HOURS
    if not 0 < hours <= INVITE_DAYS_MAX * 24:
        raise SystemExit(f"An invite may last {INVITE_DAYS_MAX * 24} hours at most.")
    print(invite(read_key(os.environ).encode(), time.time() + hours * 3600))

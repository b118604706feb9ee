"""Owns your users' tokens: JWTs of an OpenID Connect issuer, checked with its published keys."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import jwt

from . import logs
from .api_errors import ApiError

ANSWER_SECONDS = 5
# Keys are fetched again after an hour, to drop withdrawn ones; and once a minute at most, however
# often strangers send unknown key IDs.
KEYS_SECONDS, RETRY_SECONDS = 3600, 60
LEEWAY_SECONDS = 30  # between the clocks of two machines
# Not HS256: anyone who knows a public key could sign with it.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


class Issuer:
    """An issuer, found by its discovery URL; tokens must have this audience."""

    def __init__(self, discovery_url: str, audience: str) -> None:
        self._discovery_url, self._audience = discovery_url, audience
        self._name = ""
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def subject_of(self, token: str) -> str:
        """Return the token's subject. Raises ApiError."""
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                ALGORITHMS,
                issuer=self._name,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )
        except (jwt.PyJWTError, UnicodeError, RecursionError) as error:
            raise invalid(str(error) or type(error).__name__) from error
        # Cognito's access tokens have the client's ID instead of an audience.
        audience = claims.get("aud", claims.get("client_id"))
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise invalid("it is for another audience")
        return claims["sub"]

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        async with self._lock:
            age = time.monotonic() - self._fetched
            if age > (KEYS_SECONDS if key_id in self._keys else RETRY_SECONDS):
                self._fetched = time.monotonic()
                try:
                    self._name, self._keys = await asyncio.to_thread(self._fetch_keys)
                except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                    logs.write("issuer_unreachable", level="ERROR", error=type(error).__name__)
        if not self._keys:
            message = "The token issuer cannot be reached."
            raise ApiError(503, "issuer_unreachable", message, RETRY_SECONDS)
        if key_id not in self._keys:
            raise invalid("its key is not one of the issuer's")
        return self._keys[key_id]

    def _fetch_keys(self) -> tuple[str, dict[str | None, jwt.PyJWK]]:
        document = fetch(self._discovery_url)
        keys = jwt.PyJWKSet.from_dict(fetch(document["jwks_uri"])).keys
        return document["issuer"], {key.key_id: key for key in keys}


def invalid(reason: str) -> ApiError:
    """Return the answer to a token that is not valid for this server."""
    return ApiError(401, "unauthorized", f"The token is not valid: {reason}.")


def fetch(url: str) -> dict[str, Any]:
    """Return a JSON document. Raises OSError and ValueError."""
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        return json.loads(answer.read(1_000_000))

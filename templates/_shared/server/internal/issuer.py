"""Your users' tokens: JWTs of an OpenID Connect issuer, checked by the keys that it publishes."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import jwt

from . import logs
from .api_errors import ApiError

SECONDS = 5  # for the issuer to answer
# Keys are asked for again after an hour, so that withdrawn ones are; and once a minute at most,
# though strangers may name keys that there are not, as often as they like.
KEYS_SECONDS, AGAIN_SECONDS = 3600, 60
LEEWAY_SECONDS = 30  # between the clocks of two machines
# No HS256: with it, whoever knows a public key could sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


class NotIssued(Exception):
    """This is no token of the issuer for us; the message says why."""


class Issuer:
    """An issuer, found by its discovery URL; tokens must be made for this audience."""

    def __init__(self, discovery_url: str, audience: str) -> None:
        self._discovery_url, self._audience = discovery_url, audience
        self._name = ""
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def subject_of(self, token: str) -> str:
        """Whom the token is about. Raises NotIssued, and ApiError when no key can be had."""
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
        except (jwt.PyJWTError, UnicodeError) as error:
            raise NotIssued(str(error) or type(error).__name__) from error
        # Cognito's access tokens have no audience, but the client's id.
        audience = claims.get("aud", claims.get("client_id"))
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise NotIssued("it is for another audience")
        return claims["sub"]

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        async with self._lock:
            age = time.monotonic() - self._asked
            if age > (KEYS_SECONDS if key_id in self._keys else AGAIN_SECONDS):
                self._asked = time.monotonic()
                try:
                    self._name, self._keys = await asyncio.to_thread(self._ask)
                except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                    logs.write("issuer_unreachable", level="ERROR", error=type(error).__name__)
        if not self._keys:
            message = "The issuer of tokens cannot be reached."
            raise ApiError(503, "issuer_unreachable", message, AGAIN_SECONDS)
        if key_id not in self._keys:
            raise NotIssued("its key is not one of the issuer's")
        return self._keys[key_id]

    def _ask(self) -> tuple[str, dict[str | None, jwt.PyJWK]]:
        document = fetch(self._discovery_url)
        keys = jwt.PyJWKSet.from_dict(fetch(document["jwks_uri"])).keys
        return document["issuer"], {key.key_id: key for key in keys}


def fetch(url: str) -> dict[str, Any]:
    """A JSON document. Raises OSError and ValueError."""
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return json.loads(answer.read(1_000_000))

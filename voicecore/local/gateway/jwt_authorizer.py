"""Owns runtimes with a JWT authorizer: a bearer token takes the place of AWS's signature.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/inbound-jwt-authorizer.html
"""

# PyJWT leaves the types of keys open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import jwt

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local.api_errors import ApiError, access_denied, unauthorized

SUBPROTOCOL = "base64UrlBearerAuthorization"
"""WebSocket subprotocol by which a browser, which can set no header, sends its token."""

_DISCOVERY = re.compile(r"https?://.+/\.well-known/openid-configuration")
_TOKEN_CHARACTERS_MAX = 4096  # AWS SDK, connect_shell_oauth
_KEYS_SECONDS = 300.0
_FETCH_SECONDS = 5.0


class BadDiscoveryUrl(VoicecoreError):
    """CreateAgentRuntime would refuse this discovery URL."""


@dataclass(frozen=True)
class JwtAuthorizer:
    """The runtime's `customJWTAuthorizer`."""

    discovery_url: str
    audiences: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _DISCOVERY.fullmatch(self.discovery_url):
            raise BadDiscoveryUrl(
                f"{self.discovery_url} is not an OpenID discovery URL.",
                "AgentCore requires one that ends with /.well-known/openid-configuration, such as\n"
                "https://cognito-idp.us-east-1.amazonaws.com/POOL/.well-known/openid-configuration",
                ExitCode.USAGE,
            )


def bearer_token(headers: Mapping[str, str]) -> str | ApiError:
    """Return the token of a request, from its header or its WebSocket subprotocol.

    Returns the error that AWS answers without one, or with a signature instead.
    """
    authorization = headers.get("Authorization", "")
    if authorization.startswith("AWS4-"):
        return _signed()
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        name, dot, encoded = protocol.strip().partition(".")
        if name == SUBPROTOCOL and dot:
            return _decoded(encoded)
    return unauthorized(
        "Missing Authentication Token",
        "Send Authorization: Bearer <token>, or from a browser the subprotocols "
        f'["{SUBPROTOCOL}.<base64url of the token>", "{SUBPROTOCOL}"].',
    )


def _decoded(encoded: str) -> str | ApiError:
    if len(encoded) > _TOKEN_CHARACTERS_MAX:
        return unauthorized(
            f"The token in the subprotocol has {len(encoded)} characters, "
            f"more than {_TOKEN_CHARACTERS_MAX}.",
            "Ask the issuer for a token with fewer claims.",
        )
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return unauthorized(
            "The token in the subprotocol is not base64url.", "Encode it without '+', '/' and '='."
        )


def _signed() -> ApiError:
    return access_denied(
        "Authorization method mismatch. The agent is configured for a different authorization "
        "method than what was used in your request.",
        "This runtime has a JWT authorizer (--jwt-discovery-url): send a bearer token instead of "
        "AWS's signature, as `voicecore talk --token-env NAME` does.",
    )


class JwtVerifier:
    """Checks tokens with the keys of the issuer, which it reads again every five minutes."""

    subprotocols = (SUBPROTOCOL,)
    """Subprotocols with which a WebSocket may be accepted."""

    def __init__(self, authorizer: JwtAuthorizer) -> None:
        self._authorizer = authorizer
        self._issuer = ""
        self._keys: dict[str | None, Any] = {}
        self._fetched = -_KEYS_SECONDS
        self._lock = asyncio.Lock()

    @staticmethod
    def challenge(error: ApiError, arn: str, region: str) -> dict[str, str]:
        """Return the header of a 401 by which OAuth clients find the issuer (DG:runtime-oauth)."""
        if error.status != 401:
            return {}
        runtime = f"https://bedrock-agentcore.{region}.amazonaws.com/runtimes/{quote(arn, safe='')}"
        metadata = f"{runtime}/invocations/.well-known/oauth-protected-resource"
        return {"WWW-Authenticate": f'Bearer resource_metadata="{metadata}"'}

    async def check(self, headers: Mapping[str, str], presigned: bool) -> ApiError | None:
        """Return None if AWS would accept the request's token, else its 401 or 403."""
        token = _signed() if presigned else bearer_token(headers)
        if isinstance(token, ApiError):
            return token
        try:
            async with self._lock:
                if time.monotonic() - self._fetched >= _KEYS_SECONDS:
                    await self._fetch()
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, jwt.PyJWTError) as error:
            reason = str(error) or type(error).__name__
            return unauthorized(
                "Could not read the issuer's keys.",
                f"{self._authorizer.discovery_url}: {reason}. Is the issuer running?",
            )
        return claims_error(token, self._authorizer, self._issuer, self._keys)

    async def _fetch(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with aiohttp.ClientSession(
            trust_env=True, timeout=timeout, raise_for_status=True
        ) as http:
            document = await _json(http, self._authorizer.discovery_url)
            keys = jwt.PyJWKSet.from_dict(await _json(http, str(document["jwks_uri"])))
        self._issuer = str(document["issuer"])
        self._keys = {key.key_id: key for key in keys.keys}
        self._fetched = time.monotonic()


async def _json(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(url) as response:
        return cast("dict[str, Any]", await response.json(content_type=None))


def claims_error(
    token: str, authorizer: JwtAuthorizer, issuer: str, keys: Mapping[str | None, Any]
) -> ApiError | None:
    """Return the 401 for a token that AWS would refuse, with the claim that is wrong."""
    try:
        key = keys.get(jwt.get_unverified_header(token).get("kid"))
        if key is None:
            return _invalid(f"its key is not among the keys of {issuer}")
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=issuer,
            options={"verify_aud": False, "require": ["exp"]},
        )
    except jwt.PyJWTError as error:
        return _invalid(str(error))
    said = claims.get("aud", [])
    audiences = cast("list[str]", said if isinstance(said, list) else [said])
    if authorizer.audiences and not set(audiences) & set(authorizer.audiences):
        return _invalid(f"its aud is {audiences or 'missing'}; Cognito's access tokens have none")
    client = claims.get("client_id")
    if authorizer.clients and client not in authorizer.clients:
        return _invalid(f"its client_id is {client or 'missing'}")
    return None


def _invalid(why: str) -> ApiError:
    return unauthorized(
        "Invalid Bearer token", f"The token was refused: {why}. Compare it with --jwt-… of dev."
    )

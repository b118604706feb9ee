"""Bearer tokens: where they are in a request, and which AWS's JWT authorizer accepts."""

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.standins.inspecting_proxy import inspecting_proxy
from voicecore.local.api_errors import ApiError
from voicecore.local.gateway.jwt_authorizer import (
    SUBPROTOCOL,
    BadDiscoveryUrl,
    JwtAuthorizer,
    JwtVerifier,
    bearer_token,
    claims_error,
)

ISSUER = "https://issuer.example"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
AUTHORIZER = JwtAuthorizer(DISCOVERY, ("app",), ("web",))
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def token(key: Any = KEY, kid: str = "one", **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": "app", "client_id": "web", "exp": time.time() + 60} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, "ES256", {"kid": kid})


def keys() -> dict[str | None, Any]:
    public = jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key(), as_dict=True)  # type: ignore[arg-type]
    return {"one": jwt.PyJWK.from_dict({**public, "kid": "one", "alg": "ES256"})}


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"Sec-WebSocket-Protocol": f"{SUBPROTOCOL}.{encoded('a.b')}, {SUBPROTOCOL}"}, "a.b"),
        ({}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Basic abc"}, 401),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA"}, 403),
        ({"Sec-WebSocket-Protocol": SUBPROTOCOL}, 401),
        ({"Sec-WebSocket-Protocol": f"{SUBPROTOCOL}.a"}, 401),
        ({"Sec-WebSocket-Protocol": f"{SUBPROTOCOL}.{'a' * 4097}"}, 401),
    ],
)
def test_token_is_read_from_header_or_subprotocol(
    headers: dict[str, str], expected: str | int
) -> None:
    found = bearer_token(headers)
    assert (found.status if isinstance(found, ApiError) else found) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"aud": ["other", "app"]}, None),
        ({"aud": "other"}, "aud is ['other']"),
        ({"aud": None}, "aud is missing"),
        ({"client_id": "cli"}, "client_id is cli"),
        ({"client_id": None}, "client_id is missing"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"exp": 0}, "expired"),
        ({"exp": None}, "exp"),
        ({"key": OTHER}, "Signature"),
        ({"kid": "two"}, "not among the keys"),
    ],
)
def test_token_is_checked_as_aws_does(changes: dict[str, Any], words: str | None) -> None:
    error = claims_error(token(**changes), AUTHORIZER, ISSUER, keys())
    assert (error is None) == (words is None)
    assert error is None or (error.status == 401 and str(words) in error.hint)


def test_text_that_is_no_token_is_refused() -> None:
    error = claims_error("no token", AUTHORIZER, ISSUER, keys())
    assert error
    assert (error.status, "segments" in error.hint) == (401, True)


def test_authorizer_without_audience_and_client_accepts_every_token_of_the_issuer() -> None:
    assert (
        claims_error(token(aud="x", client_id=None), JwtAuthorizer(DISCOVERY), ISSUER, keys())
        is None
    )


def test_discovery_url_has_the_form_that_aws_requires() -> None:
    with pytest.raises(BadDiscoveryUrl, match="not an OpenID discovery URL"):
        JwtAuthorizer(ISSUER)


def test_issuer_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with inspecting_proxy(tmp_path, {"issuer.example": "http://127.0.0.1:9"}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        headers = {"Authorization": f"Bearer {token()}"}
        refused = asyncio.run(JwtVerifier(AUTHORIZER).check(headers, presigned=False))
    assert refused and refused.status == 401
    assert "issuer.example" in proxy.hosts

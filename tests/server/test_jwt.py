"""Tokens of an OpenID Connect issuer start sessions; forged tokens do not."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.server.serving import UNLIMITED, serving
from tests.standins.server.agentcore import AgentCore

AUDIENCE = "support-line"
SUBJECT = "ada.lovelace"  # cannot occur in a random ID


class Issuer:
    """Publishes the keys with which it signs."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: Counter[str] = Counter()
        self.keys = {"first": rsa.generate_private_key(65537, 2048)}

    def document(self, path: str) -> dict[str, Any]:
        self.requests[path] += 1
        if path != "/keys":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        to_jwk = RSAAlgorithm.to_jwk
        public = {name: to_jwk(key.public_key(), as_dict=True) for name, key in self.keys.items()}
        return {"keys": [{**key, "kid": name, "use": "sig"} for name, key in public.items()]}

    def token(self, key: Any = None, kid: str = "first", **more: Any) -> str:
        claims = {"iss": self.url, "sub": SUBJECT, "aud": AUDIENCE, "exp": time.time() + 300} | more
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.keys["first"], "RS256", {"kid": kid})


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.document(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield issuer
        server.shutdown()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


def test_only_valid_tokens_of_the_issuer_start_sessions(
    folder: Path, aws: AgentCore, issuer: Issuer, tmp_path: Path
) -> None:
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def hs256(signed: bytes) -> bytes:
        return hmac.digest(pem, signed, hashlib.sha256)

    good = {
        "a user": issuer.token(),
        "one audience of several": issuer.token(aud=["another", AUDIENCE]),
        "Cognito's access token": issuer.token(aud=None, client_id=AUDIENCE),
    }
    bad = {
        "expired": issuer.token(exp=time.time() - 60),
        "without expiry": issuer.token(exp=None),
        "without subject": issuer.token(sub=None),
        "for another audience": issuer.token(aud="another"),
        "without audience": issuer.token(aud=None),
        "from another issuer": issuer.token(iss="https://issuer.example"),
        "signed by another": issuer.token(rsa.generate_private_key(65537, 2048)),
        "unsigned": forged("none", lambda _: b"", issuer),
        "signed with the public key": forged("HS256", hs256, issuer),
    } | {f"of key {n}": issuer.token(kid=f"unknown-{n}") for n in range(20)}
    settings = {
        "OIDC_DISCOVERY_URL": f"{issuer.url}/.well-known/openid-configuration",
        "OIDC_AUDIENCE": AUDIENCE,
    }

    async def statuses(tokens: dict[str, str]) -> dict[str, int]:
        async with server.client() as client:
            answered = {}
            for name, token in tokens.items():
                headers = {"Authorization": f"Bearer {token}"}
                async with client.post("/start", headers=headers) as answer:
                    answered[name] = answer.status
            return answered

    with serving(folder, tmp_path / "log", aws.url, **UNLIMITED, **settings) as server:
        assert asyncio.run(statuses(good)) == dict.fromkeys(good, 200)
        assert asyncio.run(statuses(bad)) == dict.fromkeys(bad, 401)
    assert issuer.requests["/keys"] == 1  # unknown keys cause no further requests
    assert SUBJECT not in (tmp_path / "log").read_text()


def forged(algorithm: str, sign: Callable[[bytes], bytes], issuer: Issuer) -> str:
    """Return a token that PyJWT refuses to create."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = {"alg": algorithm, "typ": "JWT", "kid": "first"}
    claims = {"iss": issuer.url, "sub": "eve", "aud": AUDIENCE, "exp": time.time() + 300}
    signed = part(json.dumps(head).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(sign(signed))).decode()

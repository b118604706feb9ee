"""The proofs by which telephone providers show that a request is theirs: headers over values."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from voicecore.talk.optional_deps import load

Headers = dict[str, str]


@dataclass(frozen=True)
class Request:
    """A request before it is signed: `fields` go into the URL of a GET, into the body of a POST."""

    method: str
    url: str
    fields: Mapping[str, str]
    as_json: bool = False

    @property
    def body(self) -> bytes:
        """What is sent after the headers."""
        if self.method == "GET":
            return b""
        return _compact(self.fields) if self.as_json else urlencode(self.fields).encode()

    @property
    def address(self) -> str:
        """The URL that is called."""
        if self.method != "GET" or not self.fields:
            return self.url
        return f"{self.url}{'&' if urlsplit(self.url).query else '?'}{urlencode(self.fields)}"

    @property
    def sorted_form(self) -> str:
        """Names and values of a POST's form, as Twilio and Plivo sign them."""
        if self.method == "GET":
            return ""
        return "".join(f"{name}{self.fields[name]}" for name in sorted(self.fields))

    @property
    def content_type(self) -> str:
        """Of the body."""
        return "application/json" if self.as_json else "application/x-www-form-urlencoded"


def twilio(request: Request, auth_token: str) -> Headers:
    """HMAC-SHA1 over the URL and the form, sorted by name (Twilio "Webhooks security")."""
    told = request.address + request.sorted_form
    digest = hmac.new(auth_token.encode(), told.encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


def telnyx(request: Request, seed: bytes, at: float) -> Headers:
    """Ed25519 over `timestamp|body`; `seed` is the private key's 32 bytes, `at` Unix time."""
    # Comes with aiortc, which makes certificates by it.
    ed25519 = load("cryptography.hazmat.primitives.asymmetric.ed25519")
    stamp = str(int(at))
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    signature = key.sign(f"{stamp}|".encode() + request.body)
    return {
        "telnyx-timestamp": stamp,
        "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
    }


def plivo(request: Request, auth_token: str, nonce: str) -> Headers:
    """HMAC-SHA256 over URL, form and nonce: signature V3, as Plivo's own SDK computes it."""
    parts = urlsplit(request.address)
    told = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    if query or request.sorted_form:
        told += "?" + "&".join(f"{name}={value}" for name, value in query)
    if query and request.sorted_form:
        told += "."
    told += request.sorted_form
    digest = hmac.new(auth_token.encode(), f"{told}.{nonce}".encode(), hashlib.sha256).digest()
    return {
        "X-Plivo-Signature-V3": base64.b64encode(digest).decode(),
        "X-Plivo-Signature-V3-Nonce": nonce,
    }


def vonage(request: Request, secret: str, application: str, at: float) -> Headers:
    """A JWT (HS256) that tells the hash of the body, or of a GET's parameters as JSON."""
    payload = request.body or _compact(request.fields)
    claims = {
        "iat": int(at),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(payload).hexdigest(),
        "application_id": application,
    }
    told = ".".join(_base64url(_compact(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.new(secret.encode(), told.encode(), hashlib.sha256).digest()
    return {"Authorization": f"Bearer {told}.{_base64url(signature)}"}


def exotel(key: str, token: str) -> Headers:
    """HTTP basic authentication, by what stands before the @ of the applet's URL."""
    told = base64.b64encode(f"{key}:{token}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


def _compact(value: Mapping[str, object]) -> bytes:
    return json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

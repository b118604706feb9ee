"""Owns the check of Signature Version 4: headers, presigned URLs, event-stream chunks.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, quote

from botocore.eventstream import EventStreamMessage

from tests.standins.models.eventstream import encode_timestamp_header
from tests.standins.models.refusal import Refused

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,]+),\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Keys:
    """The credentials that the stand-ins accept."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class Request:
    """An HTTP request as it was sent: `path` and `query` still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Scope:
    """The scope of a signature: its key, its credential scope, and the signature."""

    key: bytes
    text: str
    signature: str


def check_headers(request: Request, keys: Keys, region: str, service: str) -> Scope:
    """Raise Refused unless the Authorization header signs this request for region and service."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if not found:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    payload = request.headers.get("x-amz-content-sha256") or sha256(request.body).hexdigest()
    return _check(
        request,
        keys,
        (region, service),
        credential=found["credential"],
        date=request.headers.get("x-amz-date", ""),
        signed=found["signed"],
        signature=found["signature"],
        query=parse_qsl(request.query, keep_blank_values=True),
        payload=payload,
    )


def check_presigned(request: Request, keys: Keys, region: str, service: str) -> Scope:
    """Raise Refused unless the query string presigns this request for region and service."""
    query = parse_qsl(request.query, keep_blank_values=True)
    values = dict(query)
    signature = values.get("X-Amz-Signature", "")
    if not signature:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    date = values.get("X-Amz-Date", "")
    age = datetime.datetime.now(datetime.UTC) - _parsed(date)
    if age.total_seconds() > int(values.get("X-Amz-Expires", "0")):
        raise Refused("InvalidSignatureException", f"Signature expired: {date}", 403)
    return _check(
        request,
        keys,
        (region, service),
        credential=values.get("X-Amz-Credential", ""),
        date=date,
        signed=values.get("X-Amz-SignedHeaders", ""),
        signature=signature,
        query=[(name, value) for name, value in query if name != "X-Amz-Signature"],
        payload=sha256(b"").hexdigest(),
    )


def check_chunk(frame: EventStreamMessage, scope: Scope) -> Scope:
    """Return the frame's signature scope. Raises Refused unless it continues the signature chain.

    https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html (chunk signature)
    """
    raw_date, chunk_signature = frame.headers.get(":date"), frame.headers.get(":chunk-signature")
    if not isinstance(raw_date, int) or not isinstance(chunk_signature, bytes):
        raise Refused("InvalidSignatureException", "The event is not signed.", 403)
    at = datetime.datetime.fromtimestamp(raw_date / 1000, datetime.UTC)
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256-PAYLOAD",
            at.strftime(_DATE),
            scope.text,
            scope.signature,
            sha256(encode_timestamp_header(":date", raw_date)).hexdigest(),
            sha256(frame.payload).hexdigest(),
        )
    )
    if not hmac.compare_digest(_hmac(scope.key, text), chunk_signature):
        raise Refused("InvalidSignatureException", "The signature of an event does not match.", 403)
    return Scope(scope.key, scope.text, chunk_signature.hex())


def _check(
    request: Request,
    keys: Keys,
    place: tuple[str, str],
    *,
    credential: str,
    date: str,
    signed: str,
    signature: str,
    query: list[tuple[str, str]],
    payload: str,
) -> Scope:
    region, service = place
    access_key_id, _, scope = credential.partition("/")
    if access_key_id != keys.access_key_id:
        message = "The security token included in the request is invalid."
        raise Refused("UnrecognizedClientException", message, 403)
    expected = f"{date[:8]}/{region}/{service}/aws4_request"
    if scope != expected:
        message = f"Credential should be scoped to {expected}, not {scope}."
        raise Refused("InvalidSignatureException", message, 403)
    names = signed.split(";")
    canonical = "\n".join(
        (
            request.method,
            quote(request.path, safe="/~"),
            "&".join(sorted(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in query)),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
            "",
            signed,
            payload,
        )
    )
    key = b"AWS4" + keys.secret_access_key.encode()
    for part in expected.split("/"):
        key = _hmac(key, part)
    text = "\n".join(("AWS4-HMAC-SHA256", date, expected, sha256(canonical.encode()).hexdigest()))
    if "host" not in names or not hmac.compare_digest(_hmac(key, text).hex(), signature):
        message = "The request signature we calculated does not match the signature you provided."
        raise Refused("InvalidSignatureException", message, 403)
    return Scope(key, expected, signature)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), sha256).digest()


def _parsed(date: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(date, _DATE).replace(tzinfo=datetime.UTC)
    except ValueError as e:
        raise Refused("InvalidSignatureException", f"Bad X-Amz-Date {date!r}.", 403) from e

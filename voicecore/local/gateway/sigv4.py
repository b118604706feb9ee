"""Verifies Signature Version 4, in headers or in a presigned query, as AWS's front door does.

The canonical request is made by botocore's own signer, which is what made the signature: the
path is encoded a second time, the query is decoded and encoded anew. Nothing here does I/O.
"""

# botocore has no types; the four calls into it are in `_signature`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from voicecore.local.gateway.errors import Refusal, denied
from voicecore.local.gateway.limits import CLOCK_SKEW_MAX, PRESIGNED_EXPIRES_MAX
from voicecore.local.gateway.request import SESSION_HEADER

SERVICE = "bedrock-agentcore"
ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class LocalCredentials:
    """A key pair that only this run of the local runtime accepts."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Keep the secret out of tracebacks and logs."""
        return f"LocalCredentials({self.access_key_id})"


def make_credentials() -> LocalCredentials:
    """Return fresh credentials in the shape of AWS's (20 and 40 characters)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key = "".join(secrets.choice(letters) for _ in range(16))
    return LocalCredentials(f"AKIA{key}", secrets.token_urlsafe(30))


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived. `path` and `query` are raw; `host` is the Host header."""

    method: str
    host: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the caller says about the signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    expires: int | None  # seconds; None when signed in headers
    token: str | None


def verify(
    request: SignedRequest, credentials: LocalCredentials, region: str, now: datetime
) -> Refusal | None:
    """Return None when AWS would accept the signature at `now`, else the 403 with its hint."""
    claim = _read_claim(request)
    if isinstance(claim, Refusal):
        return claim
    return _check_claim(claim, request, credentials, region, now) or _check_signature(
        claim, request, credentials
    )


def _read_claim(request: SignedRequest) -> _Claim | Refusal:
    headers = _by_name(request.headers)
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = headers.get("authorization", "")
    try:
        if "X-Amz-Signature" in query:
            return _claim_from_query(query)
        if authorization.startswith(ALGORITHM):
            return _claim_from_headers(authorization, headers)
    except (KeyError, ValueError):
        return denied(
            "The request signature is incomplete.",
            "Sign with botocore's SigV4Auth or SigV4QueryAuth and send all of what it adds.",
        )
    if authorization.startswith("Bearer"):
        return denied(
            "Authorization method mismatch: the agent is configured for SigV4.",
            "A runtime takes SigV4 or JWT, never both; sign with the local credentials instead.",
        )
    return denied(
        "Missing Authentication Token",
        "Sign the request (service bedrock-agentcore), or get a URL from the session server: "
        "POST /start.",
    )


def _claim_from_query(query: Mapping[str, str]) -> _Claim:
    key, date, region, service, _ = query["X-Amz-Credential"].split("/")
    return _Claim(
        access_key_id=key,
        date=date,
        region=region,
        service=service,
        timestamp=query["X-Amz-Date"],
        signed_headers=tuple(query["X-Amz-SignedHeaders"].split(";")),
        signature=query["X-Amz-Signature"],
        expires=int(query["X-Amz-Expires"]),
        token=query.get("X-Amz-Security-Token"),
    )


def _claim_from_headers(authorization: str, headers: Mapping[str, str]) -> _Claim:
    pairs = (pair.strip().split("=", 1) for pair in authorization[len(ALGORITHM) :].split(","))
    fields = {name: value for name, value in pairs}
    key, date, region, service, _ = fields["Credential"].split("/")
    return _Claim(
        access_key_id=key,
        date=date,
        region=region,
        service=service,
        timestamp=headers["x-amz-date"],
        signed_headers=tuple(fields["SignedHeaders"].split(";")),
        signature=fields["Signature"],
        expires=None,
        token=headers.get("x-amz-security-token"),
    )


def _check_claim(
    claim: _Claim,
    request: SignedRequest,
    credentials: LocalCredentials,
    region: str,
    now: datetime,
) -> Refusal | None:
    if claim.token is not None:
        return denied(
            "The security token included in the request is invalid.",
            "The local credentials have no session token: unset AWS_SESSION_TOKEN.",
        )
    if claim.access_key_id != credentials.access_key_id:
        return denied(
            "The security token included in the request is invalid.",
            "Use the access key of this run, in .voicecore/dev.json; each run makes a new one.",
        )
    if (claim.region, claim.service) != (region, SERVICE):
        return denied(
            f"Credential should be scoped to {region}/{SERVICE}, "
            f"not {claim.region}/{claim.service}.",
            f"Sign for region {region} and service {SERVICE}.",
        )
    if "host" not in claim.signed_headers:
        return denied("'Host' must be a signed header.", "Sign with botocore; it always signs it.")
    if claim.expires is not None and _by_name(request.headers).get(SESSION_HEADER.lower()):
        return denied(
            "The session id must be inside the presigned URL.",
            f"Add {SESSION_HEADER} as a query parameter before signing, not as a header after.",
        )
    return _check_time(claim, now)


def _check_time(claim: _Claim, now: datetime) -> Refusal | None:
    try:
        signed_at = datetime.strptime(claim.timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return denied("X-Amz-Date is no date.", "Its form is 20261122T121500Z, in UTC.")
    if not claim.timestamp.startswith(claim.date):
        return denied(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.",
            "Sign with botocore and send its X-Amz-Date unchanged.",
        )
    skew = timedelta(seconds=CLOCK_SKEW_MAX)
    if signed_at - now > skew:
        return denied(
            f"Signature not yet current: {claim.timestamp} is still later than {now:{_TIMESTAMP}}.",
            "The signing machine's clock is ahead; set it by NTP.",
        )
    if claim.expires is None:
        if now - signed_at > skew:
            return denied(
                f"Signature expired: {claim.timestamp} is now earlier than "
                f"{now - skew:{_TIMESTAMP}} ({now:{_TIMESTAMP}} - 5 min.)",
                "Sign each request when it is sent, with a clock set by NTP.",
            )
        return None
    if not 1 <= claim.expires <= PRESIGNED_EXPIRES_MAX:
        return denied(
            f"X-Amz-Expires must be between 1 and {PRESIGNED_EXPIRES_MAX} seconds, "
            f"not {claim.expires}.",
            "Presign with expires=300 or less; it covers only the handshake, not the call.",
        )
    if now > signed_at + timedelta(seconds=claim.expires):
        return denied(
            "The presigned URL has expired.",
            "Ask the session server for a new one just before connecting: POST /start.",
        )
    return None


def _check_signature(
    claim: _Claim, request: SignedRequest, credentials: LocalCredentials
) -> Refusal | None:
    headers = _by_name(request.headers) | {"host": request.host}
    missing = [name for name in claim.signed_headers if name not in headers]
    if missing:
        return denied(
            f"Signed headers are missing from the request: {', '.join(missing)}.",
            "Send every signed header unchanged; a proxy may have removed one.",
        )
    body_hash = hashlib.sha256(request.body).hexdigest()
    stated = headers.get("x-amz-content-sha256", body_hash)
    if stated not in (body_hash, _UNSIGNED):
        return denied(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            "The body changed after signing.",
        )
    signed = {name: headers[name] for name in claim.signed_headers}
    expected = _signature(claim, request, signed, stated, credentials)
    if hmac.compare_digest(expected.encode(), claim.signature.encode()):
        return None
    return denied(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        "Nothing may change after signing: qualifier, session id and Custom- parameters go in "
        "before; the ARN in the path is percent-encoded (and botocore encodes it once more).",
    )


class _ExactSigner(SigV4Auth):
    """Signs exactly the given headers; which ones those are was the caller's choice."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _signature(
    claim: _Claim,
    request: SignedRequest,
    signed: Mapping[str, str],
    body_hash: str,
    credentials: LocalCredentials,
) -> str:
    aws_request = AWSRequest(
        method=request.method,
        url=f"https://{request.host}{request.path}?{_canonical_query(request.query)}",
        headers=dict(signed),
        data=request.body,
    )
    aws_request.context["timestamp"] = claim.timestamp
    aws_request.context["payload_signing_enabled"] = body_hash != _UNSIGNED
    pair = Credentials(credentials.access_key_id, credentials.secret_access_key)
    signer = _ExactSigner(pair, claim.service, claim.region)
    canonical = signer.canonical_request(aws_request)
    return str(signer.signature(signer.string_to_sign(aws_request, canonical), aws_request))


def _canonical_query(query: str) -> str:
    """Return the query without its signature, every part decoded and encoded as AWS encodes it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in pairs
        if name != "X-Amz-Signature"
    )


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name, repeated ones joined as SigV4 joins them."""
    joined: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        joined[lower] = f"{joined[lower]},{value}" if lower in joined else value
    return joined

"""Owns the check of Signature Version 4, in headers or in a presigned query, as AWS does it.

botocore's own signer builds the canonical request, as it did for the signature: it encodes the path
a second time, and decodes and re-encodes the query. Nothing here does I/O.
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

from voicecore.local.api_errors import ApiError, access_denied
from voicecore.local.limits import CLOCK_SKEW_MAX, PRESIGNED_EXPIRES_MAX

SERVICE = "bedrock-agentcore"
ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class LocalCredentials:
    """A key pair; only one run of the local runtime accepts it."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Keep the secret out of tracebacks and logs."""
        return f"LocalCredentials({self.access_key_id})"


def make_credentials() -> LocalCredentials:
    """Return new credentials as long as those of AWS (20 and 40 characters)."""
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
class _SignatureFields:
    """The signature fields that the caller sent."""

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    expires: int | None  # seconds; None if the signature is in headers
    token: str | None


def verify(
    request: SignedRequest, credentials: LocalCredentials, region: str, now: datetime
) -> ApiError | None:
    """Return None if AWS would accept the signature at `now`, else the 403 to answer."""
    sent = _read_fields(request)
    if isinstance(sent, ApiError):
        return sent
    return _check_fields(sent, request, credentials, region, now) or _check_signature(
        sent, request, credentials
    )


def verify_fields(
    request: SignedRequest, credentials: LocalCredentials, region: str, now: datetime
) -> ApiError | None:
    """Return the 403 that `verify` would answer whatever the body; else None."""
    sent = _read_fields(request)
    if isinstance(sent, ApiError):
        return sent
    return _check_fields(sent, request, credentials, region, now)


def _read_fields(request: SignedRequest) -> _SignatureFields | ApiError:
    headers = _by_name(request.headers)
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    authorization = headers.get("authorization", "")
    try:
        if "X-Amz-Signature" in query:
            return _fields_from_query(query)
        if authorization.startswith(ALGORITHM):
            return _fields_from_headers(authorization, headers)
    except (KeyError, ValueError):
        return access_denied(
            "The request signature is incomplete.",
            "Sign with botocore's SigV4Auth or SigV4QueryAuth and send everything that it adds.",
        )
    if authorization.startswith("Bearer"):
        return access_denied(
            "Authorization method mismatch: the agent is configured for SigV4.",
            "Sign with the local credentials: a runtime accepts SigV4 or JWT, never both.",
        )
    return access_denied(
        "Missing Authentication Token",
        "Sign the request (service bedrock-agentcore), or get a URL from the session server with "
        "POST /start.",
    )


def _fields_from_query(query: Mapping[str, str]) -> _SignatureFields:
    key, date, region, service, _ = query["X-Amz-Credential"].split("/")
    return _SignatureFields(
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


def _fields_from_headers(authorization: str, headers: Mapping[str, str]) -> _SignatureFields:
    pairs = (pair.strip().split("=", 1) for pair in authorization[len(ALGORITHM) :].split(","))
    fields = {name: value for name, value in pairs}
    key, date, region, service, _ = fields["Credential"].split("/")
    return _SignatureFields(
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


def _check_fields(
    sent: _SignatureFields,
    request: SignedRequest,
    credentials: LocalCredentials,
    region: str,
    now: datetime,
) -> ApiError | None:
    if sent.token is not None:
        return access_denied(
            "The security token included in the request is invalid.",
            "Unset AWS_SESSION_TOKEN: the local credentials have no session token.",
        )
    if sent.access_key_id != credentials.access_key_id:
        return access_denied(
            "The security token included in the request is invalid.",
            f"It is signed with {sent.access_key_id}; `voicecore dev` expects the key that it puts "
            "into AWS_ACCESS_KEY_ID of the session server, and a new one in each run. If a .env "
            "file sets AWS_ACCESS_KEY_ID and the server loads it with override=True, remove it "
            'there. Elsewhere:  eval "$(voicecore dev --env)"',
        )
    if (sent.region, sent.service) != (region, SERVICE):
        return access_denied(
            f"Credential should be scoped to {region}/{SERVICE}, not {sent.region}/{sent.service}.",
            f"Sign for region {region} and service {SERVICE}.",
        )
    if "host" not in sent.signed_headers:
        return access_denied(
            "'Host' must be a signed header.", "Sign with botocore, which always signs Host."
        )
    return _check_time(sent, now)


def _check_time(sent: _SignatureFields, now: datetime) -> ApiError | None:
    try:
        signed_at = datetime.strptime(sent.timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return access_denied("X-Amz-Date is not a date.", "Send UTC time as 20261122T121500Z.")
    if not sent.timestamp.startswith(sent.date):
        return access_denied(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.",
            "Sign with botocore and send its X-Amz-Date unchanged.",
        )
    skew = timedelta(seconds=CLOCK_SKEW_MAX)
    if signed_at - now > skew:
        return access_denied(
            f"Signature not yet current: {sent.timestamp} is still later than {now:{_TIMESTAMP}}.",
            "Synchronize the clock of the signing machine (NTP); it is ahead.",
        )
    if sent.expires is None:
        if now - signed_at > skew:
            return access_denied(
                f"Signature expired: {sent.timestamp} is now earlier than "
                f"{now - skew:{_TIMESTAMP}} ({now:{_TIMESTAMP}} - 5 min.)",
                "Sign each request when you send it, on a machine with a synchronized clock (NTP).",
            )
        return None
    if not 1 <= sent.expires <= PRESIGNED_EXPIRES_MAX:
        return access_denied(
            f"X-Amz-Expires must be between 1 and {PRESIGNED_EXPIRES_MAX} seconds, "
            f"not {sent.expires}.",
            "Presign with expires=300 or less; the limit applies to the handshake, not the call.",
        )
    if now > signed_at + timedelta(seconds=sent.expires):
        return access_denied(
            "The presigned URL has expired.",
            "Get a new one from the session server (POST /start) just before you connect.",
        )
    return None


def _check_signature(
    sent: _SignatureFields, request: SignedRequest, credentials: LocalCredentials
) -> ApiError | None:
    headers = _by_name(request.headers) | {"host": request.host}
    missing = [name for name in sent.signed_headers if name not in headers]
    if missing:
        return access_denied(
            f"Signed headers are missing from the request: {', '.join(missing)}.",
            "Send every signed header unchanged; check whether a proxy removes headers.",
        )
    body_hash = hashlib.sha256(request.body).hexdigest()
    stated = headers.get("x-amz-content-sha256", body_hash)
    if stated not in (body_hash, _UNSIGNED):
        return access_denied(
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            "Do not change the body after signing.",
        )
    signed = {name: headers[name] for name in sent.signed_headers}
    expected = _signature(sent, request, signed, stated, credentials)
    if hmac.compare_digest(expected.encode(), sent.signature.encode()):
        return None
    return access_denied(
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        "Change nothing after signing: add qualifier, session ID and Custom- parameters before. "
        "Percent-encode the ARN in the path (botocore then encodes it once more).",
    )


class _ExactSigner(SigV4Auth):
    """Signs exactly the given headers: the caller chose them."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _signature(
    sent: _SignatureFields,
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
    aws_request.context["timestamp"] = sent.timestamp
    aws_request.context["payload_signing_enabled"] = body_hash != _UNSIGNED
    pair = Credentials(credentials.access_key_id, credentials.secret_access_key)
    signer = _ExactSigner(pair, sent.service, sent.region)
    canonical = signer.canonical_request(aws_request)
    return str(signer.signature(signer.string_to_sign(aws_request, canonical), aws_request))


def _canonical_query(query: str) -> str:
    """Return the query without its signature, each part decoded and re-encoded as AWS does."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in pairs
        if name != "X-Amz-Signature"
    )


def _by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated headers are joined as SigV4 joins them."""
    joined: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        joined[lower] = f"{joined[lower]},{value}" if lower in joined else value
    return joined

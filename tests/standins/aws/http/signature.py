"""Owns the check of SigV4 signatures, by botocore's signer: path, query and body included."""

from __future__ import annotations

import hmac
import re

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.standins.aws.cloud import Caller
from tests.standins.aws.http.operations import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def is_valid(request: Request, caller: Caller) -> bool:
    """Return True when the Authorization header signs this request with the caller's key."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if not found or "host" not in found["signed"].split(";"):
        return False
    names = found["signed"].split(";")
    query = f"?{request.query}" if request.query else ""
    url = f"http://{request.headers.get('host', '')}{request.path}{query}"
    headers = {name: request.headers.get(name, "") for name in names}
    unsigned = AWSRequest(request.method, url, headers, request.body)
    unsigned.context["timestamp"] = request.headers.get("x-amz-date", "")
    kind = S3SigV4Auth if found["service"] == "s3" else SigV4Auth
    signer = kind(
        Credentials(caller.access_key_id, caller.secret_access_key),
        found["service"],
        found["region"],
    )
    text = signer.string_to_sign(unsigned, signer.canonical_request(unsigned))
    return hmac.compare_digest(signer.signature(text, unsigned), found["signature"])

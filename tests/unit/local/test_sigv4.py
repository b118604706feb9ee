"""Signatures by botocore are accepted; every change to them is refused with a reason."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from voicecore.local.gateway.sigv4 import LocalCredentials, SignedRequest, make_credentials, verify

REGION = "eu-central-1"
PAIR = LocalCredentials("AKIALOCALLOCALLOCAL7", "a/secret+of40characters")
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
PATH = "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A000000000000%3Aruntime%2Fa/ws"
QUERY = f"qualifier=DEFAULT&{SESSION}={'s' * 36}&X-Custom=a%20b%2Fc"
HOST = "127.0.0.1:8080"


def presigned(
    query: str = QUERY,
    *,
    expires: int = 300,
    region: str = REGION,
    service: str = "bedrock-agentcore",
    pair: LocalCredentials = PAIR,
    token: str | None = None,
) -> SignedRequest:
    request = AWSRequest("GET", url=f"http://{HOST}{PATH}?{query}")
    credentials = Credentials(pair.access_key_id, pair.secret_access_key, token)
    SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    assert request.url
    parts = urlsplit(request.url)
    return SignedRequest("GET", HOST, parts.path, parts.query, [("Host", HOST)])


def signed_in_headers(body: bytes = b'{"a": 1}', host: str = HOST) -> SignedRequest:
    path = PATH.replace("/ws", "/invocations")
    request = AWSRequest(
        "POST",
        url=f"http://{host}{path}?qualifier=DEFAULT",
        headers={SESSION: "s" * 36, "User-Agent": "x", "Content-Type": "application/json"},
        data=body,
    )
    credentials = Credentials(PAIR.access_key_id, PAIR.secret_access_key)
    SigV4Auth(credentials, "bedrock-agentcore", REGION).add_auth(request)
    headers = [*request.headers.items(), ("Host", host)]
    return SignedRequest("POST", host, path, "qualifier=DEFAULT", headers, body)


def altered(request: SignedRequest, **changes: Any) -> SignedRequest:
    return replace(request, **changes)


def with_date_scope(query: str, date: str) -> str:
    return re.sub(r"(X-Amz-Credential=\w+%2F)\d{8}", rf"\g<1>{date}", query)


# Signed at import and checked at that same time: pytest may run these tests much later.
NOW = datetime.now(UTC)


def now(seconds: float = 0.0) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("request_", [presigned(), signed_in_headers(), signed_in_headers(b"")])
def test_botocore_signature_is_accepted(request_: SignedRequest) -> None:
    assert verify(request_, PAIR, REGION, now()) is None


GOOD, POSTED = presigned(), signed_in_headers()
HEADERS = dict(POSTED.headers)


def test_percent_encoding_of_the_query_is_irrelevant() -> None:
    assert "a%20b%2Fc" in GOOD.query
    relaxed = altered(GOOD, query=GOOD.query.replace("b%2Fc", "b/c"))
    assert verify(relaxed, PAIR, REGION, now()) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (altered(GOOD, query=QUERY), "Missing Authentication Token"),
        (altered(POSTED, headers=[("Authorization", "Bearer abc")]), "mismatch"),
        (altered(GOOD, query=GOOD.query + "&X-Extra=1"), "does not match"),
        (altered(GOOD, query="qualifier=DEFAULT&" + GOOD.query), "does not match"),
        (altered(GOOD, query=GOOD.query.replace("s" * 36, "t" * 36)), "does not match"),
        (altered(GOOD, query=GOOD.query.replace("DEFAULT", "other")), "does not match"),
        (altered(GOOD, query=GOOD.query[:-1] + "g"), "does not match"),
        (altered(GOOD, path=PATH.replace("%3A", ":")), "does not match"),
        (altered(GOOD, host="localhost:8080"), "does not match"),
        (altered(GOOD, query=GOOD.query.replace("X-Amz-Date", "X-Amz-Day")), "incomplete"),
        (presigned(expires=301), "between 1 and 300"),
        (presigned(expires=0), "between 1 and 300"),
        (altered(GOOD, query=GOOD.query.replace("=host", "=date")), "must be a signed header"),
        (altered(GOOD, query=with_date_scope(GOOD.query, "20010101")), "Date in Credential scope"),
        (altered(GOOD, query=GOOD.query.replace("Z&X-Amz-E", "&X-Amz-E")), "is not a date"),
        (presigned(region="us-east-1"), "scoped to eu-central-1"),
        (presigned(service="execute-api"), "scoped to"),
        (presigned(pair=make_credentials()), "security token"),
        (presigned(token="temporary"), "security token"),
        (
            presigned(pair=LocalCredentials(PAIR.access_key_id, "another secret")),
            "does not match",
        ),
        (altered(POSTED, body=b'{"a": 2}'), "does not match"),
        (
            altered(POSTED, headers=[*HEADERS.items(), ("X-Amz-Content-SHA256", "0" * 64)]),
            "x-amz-content-sha256",
        ),
        (
            altered(POSTED, headers=list((HEADERS | {SESSION: "v" * 36}).items())),
            "does not match",
        ),
        (
            altered(POSTED, headers=[h for h in POSTED.headers if h[0] != SESSION]),
            "missing from the request",
        ),
    ],
)
def test_changed_or_foreign_signature_is_refused(request_: SignedRequest, words: str) -> None:
    error = verify(request_, PAIR, REGION, now())
    assert error is not None
    assert (error.status, error.kind) == (403, "AccessDeniedException")
    assert words in error.message
    assert error.hint
    assert PAIR.secret_access_key not in error.message + error.hint


def test_key_of_a_dotenv_file_is_named_with_what_to_do() -> None:
    own = make_credentials()
    error = verify(presigned(pair=own), PAIR, REGION, now())
    assert error
    assert f"signed with {own.access_key_id}" in error.hint
    assert ".env" in error.hint and "override=True" in error.hint
    assert "voicecore dev --env" in error.hint


@pytest.mark.parametrize(
    ("request_", "later", "words"),
    [
        (GOOD, 290, None),
        (GOOD, 310, "expired"),
        (GOOD, -310, "not yet current"),
        (presigned(expires=1), 3, "expired"),
        (POSTED, 290, None),
        (POSTED, -290, None),
        (POSTED, 310, "Signature expired"),
        (POSTED, -310, "not yet current"),
    ],
)
def test_signature_is_valid_for_five_minutes(
    request_: SignedRequest, later: float, words: str | None
) -> None:
    error = verify(request_, PAIR, REGION, now(later))
    assert (error is None) if words is None else (error and words in error.message)


def test_credentials_have_the_format_of_aws_and_hide_the_secret() -> None:
    pair = make_credentials()
    assert (len(pair.access_key_id), len(pair.secret_access_key)) == (20, 40)
    assert pair.secret_access_key not in repr(pair)

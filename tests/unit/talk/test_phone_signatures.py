"""The providers' proofs, against published vectors and independent implementations."""

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.standins.phone.accounts import account
from voicecore.talk.telephone import signatures
from voicecore.talk.telephone.signatures import Request
from voicecore.talk.telephone.webhooks import (
    NoCredentials,
    answer_request,
    new_call,
    sign,
    status_request,
)

FORM = {"To": "+12025550100", "From": "+12025550123"}


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            Request(
                "POST",
                "https://mycompany.com/myapp.php?foo=1&bar=2",
                {
                    "CallSid": "CA1234567890ABCDE",
                    "Caller": "+12349013030",
                    "Digits": "1234",
                    "From": "+12349013030",
                    "To": "+18005551212",
                },
            ),
            "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
        ),
        (Request("GET", "wss://example.com/ws/abc", {}), "qk8rtKa9sAtHvyH+d4hp7h23IJo="),
    ],
)
def test_twilios_published_vectors(request_: Request, signature: str) -> None:
    assert signatures.twilio(request_, "12345") == {"X-Twilio-Signature": signature}


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            Request(
                "POST",
                "https://answer.example.com/phone/plivo",
                {
                    "CallUUID": "97ceeb52-58b6-11e1-86da-77300b68f8bb",
                    "From": "12025550123",
                    "To": "12025550100",
                },
            ),
            "UWQut5NuvBW1hGXWw9UEv0jeRMb4JYza94X/LToSMso=",
        ),
        (
            Request(
                "POST",
                "https://answer.example.com:8443/phone/plivo?b=2&a=1",
                {"To": "1 2", "From": "ü"},
            ),
            "frbuXQnLcPDy9V6gavUa6Nz7LyOPvxiyV/QS4qexKO8=",
        ),
        (
            Request("GET", "https://answer.example.com/phone/plivo", {"x": "1", "a": "b c"}),
            "fMDzJqpKkJQ8XRvZtvhv+7JIT1o0yGiCzqsDF0Ag1qA=",
        ),
    ],
)
def test_what_plivos_own_sdk_takes(request_: Request, signature: str) -> None:
    # Each was found valid by validate_v3_signature of plivo 4.63.0.
    token, nonce = "MzE0OTQ2YjQ5ZmFkNzQ5OWVjMDk4ZDc0YjE4ZjZl", "05429567804466091622"
    signed = signatures.plivo(request_, token, nonce)
    assert signed == {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}


def test_telnyx_signs_time_and_body() -> None:
    known = account("telnyx")
    request = Request("POST", "https://answer.example.com/phone/telnyx", FORM)
    signed = signatures.telnyx(request, base64.b64decode(known["SIGNING_KEY"]), 1_700_000_000.9)
    assert signed["telnyx-timestamp"] == "1700000000"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(known["TELNYX_PUBLIC_KEY"]))
    signature = base64.b64decode(signed["telnyx-signature-ed25519"])
    key.verify(signature, b"1700000000|To=%2B12025550100&From=%2B12025550123")


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (Request("POST", "https://a.example", FORM, as_json=True), None),
        (
            Request("GET", "https://a.example", FORM),
            b'{"To":"+12025550100","From":"+12025550123"}',
        ),
    ],
)
def test_vonage_signs_a_hash_of_what_it_tells(request_: Request, payload: bytes | None) -> None:
    signed = signatures.vonage(request_, "a secret of some length, as they are", "app", 1000.5)
    kind, token = signed["Authorization"].split()
    assert kind == "Bearer"
    claims = jwt.decode(token, "a secret of some length, as they are", algorithms=["HS256"])
    hashed = hashlib.sha256(payload or request_.body).hexdigest()
    assert claims == {
        **claims,
        "iat": 1000,
        "iss": "Vonage",
        "payload_hash": hashed,
        "application_id": "app",
    }
    assert claims["jti"]
    assert json.loads(request_.body or b"{}") in ({}, FORM)


def test_exotel_tells_its_password() -> None:
    assert signatures.exotel("Aladdin", "open sesame") == {
        "Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617's own example
    }


@pytest.mark.parametrize("provider", ["twilio", "telnyx", "plivo", "exotel", "vonage"])
def test_requests_name_the_call_and_both_numbers(provider: str) -> None:
    known = account(provider)
    call = new_call(provider, known, "+12025550123", "+12025550100")
    other = new_call(provider, known, "+12025550123", "+12025550100")
    assert call.id != other.id and call.stream != other.stream
    for request in (
        answer_request(call, "https://a.example/p"),
        status_request(call, "https://a.example/s", "completed"),
    ):
        told = {value.removeprefix("+") for value in request.fields.values()}
        assert {call.id, "12025550123", "12025550100"} <= told
        assert sign(call, request, known, 1000.0)
    assert "completed" in request.fields.values()


def test_without_its_secret_nothing_is_signed() -> None:
    known = account("twilio")
    call = new_call("twilio", known, "+12025550123", "+12025550100")
    del known["TWILIO_AUTH_TOKEN"]
    with pytest.raises(NoCredentials, match="TWILIO_AUTH_TOKEN is not known"):
        sign(call, answer_request(call, "https://a.example/p"), known, 1000.0)

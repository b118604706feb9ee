"""Providers' requests and signatures, against published vectors and other implementations."""

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.standins.phone.accounts import account
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.catalog.phones.media import MediaStream
from voicecore.catalog.phones.plivo.signaling import signature_v3
from voicecore.catalog.phones.signaling import MissingCredential, WebhookRequest

FORM = {"To": "+12025550100", "From": "+12025550123"}


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            WebhookRequest(
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
        (WebhookRequest("GET", "wss://example.com/ws/abc", {}), "qk8rtKa9sAtHvyH+d4hp7h23IJo="),
    ],
)
def test_twilio_signs_its_published_vectors(request_: WebhookRequest, signature: str) -> None:
    signed = PHONES["twilio"].signaling().sign(request_, {"TWILIO_AUTH_TOKEN": "12345"}, 0)
    assert signed == {"X-Twilio-Signature": signature}


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            WebhookRequest(
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
            WebhookRequest(
                "POST",
                "https://answer.example.com:8443/phone/plivo?b=2&a=1",
                {"To": "1 2", "From": "ü"},
            ),
            "frbuXQnLcPDy9V6gavUa6Nz7LyOPvxiyV/QS4qexKO8=",
        ),
        (
            WebhookRequest("GET", "https://answer.example.com/phone/plivo", {"x": "1", "a": "b c"}),
            "fMDzJqpKkJQ8XRvZtvhv+7JIT1o0yGiCzqsDF0Ag1qA=",
        ),
    ],
)
def test_plivo_signs_as_its_own_sdk_validates(request_: WebhookRequest, signature: str) -> None:
    # validate_v3_signature of plivo 4.63.0 accepts each of these.
    token, nonce = "MzE0OTQ2YjQ5ZmFkNzQ5OWVjMDk4ZDc0YjE4ZjZl", "05429567804466091622"
    signed = signature_v3(request_, token, nonce)
    assert signed == {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}


def test_telnyx_signs_time_and_body() -> None:
    credentials = account("telnyx")
    request = WebhookRequest("POST", "https://answer.example.com/phone/telnyx", FORM)
    signed = PHONES["telnyx"].signaling().sign(request, credentials, 1_700_000_000.9)
    assert signed["telnyx-timestamp"] == "1700000000"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(credentials["TELNYX_PUBLIC_KEY"]))
    signature = base64.b64decode(signed["telnyx-signature-ed25519"])
    key.verify(signature, b"1700000000|To=%2B12025550100&From=%2B12025550123")


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (WebhookRequest("POST", "https://a.example", FORM, as_json=True), None),
        (
            WebhookRequest("GET", "https://a.example", FORM),
            b'{"To":"+12025550100","From":"+12025550123"}',
        ),
    ],
)
def test_vonage_signs_a_hash_of_its_payload(
    request_: WebhookRequest, payload: bytes | None
) -> None:
    secret = "a secret as long as real ones are"
    credentials = {"VONAGE_SIGNATURE_SECRET": secret, "VONAGE_APPLICATION_ID": "app"}
    signed = PHONES["vonage"].signaling().sign(request_, credentials, 1000.5)
    kind, token = signed["Authorization"].split()
    assert kind == "Bearer"
    claims = jwt.decode(token, secret, algorithms=["HS256"])
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


def test_exotel_sends_its_login() -> None:
    request = WebhookRequest("GET", "https://a.example", {})
    credentials = {"EXOTEL_API_KEY": "Aladdin", "EXOTEL_API_TOKEN": "open sesame"}
    assert PHONES["exotel"].signaling().sign(request, credentials, 0) == {
        "Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617's own example
    }


@pytest.mark.parametrize("provider", PHONES)
def test_requests_name_the_call_and_both_numbers(provider: str) -> None:
    credentials, signaling = account(provider), PHONES[provider].signaling()
    call = signaling.new_call(credentials, "+12025550123", "+12025550100")
    other = signaling.new_call(credentials, "+12025550123", "+12025550100")
    assert call.id != other.id and call.stream != other.stream
    status = signaling.status_request(call, "https://a.example/s", "completed")
    assert status.as_json == (provider == "vonage")
    for request in (signaling.answer_request(call, "https://a.example/p"), status):
        values = {value.removeprefix("+") for value in request.fields.values()}
        assert {call.id, "12025550123", "12025550100"} <= values
        assert signaling.sign(request, credentials, 1000.0)
    assert "completed" in request.fields.values()


def test_call_has_the_numbers_ids_and_parameters_of_its_stream() -> None:
    credentials, signaling = account("twilio"), PHONES["twilio"].signaling()
    call = signaling.new_call(credentials, "+12025550123", "+12025550100")
    account_sid = credentials["TWILIO_ACCOUNT_SID"]
    assert call.media({"k": "v"}) == MediaStream(
        account_sid, call.id, call.stream, "+12025550123", "+12025550100", {"k": "v"}
    )


@pytest.mark.parametrize(("outbound", "status"), [(False, "ringing"), (True, "in-progress")])
def test_answer_is_requested_when_the_call_rings_or_is_answered(
    outbound: bool, status: str
) -> None:
    signaling = PHONES["twilio"].signaling()
    call = signaling.new_call(account("twilio"), "+12025550123", "+12025550100", outbound)
    assert signaling.answer_request(call, "https://a.example").fields["CallStatus"] == status
    assert not signaling.new_call(account("twilio"), "+1", "+2").outbound


def test_only_twilio_and_plivo_sign_the_handshake_of_media() -> None:
    signed = {
        name: phone.signaling().sign_media("wss://a.example", account(name), 0)
        for name, phone in PHONES.items()
    }
    assert [name for name, headers in signed.items() if headers] == ["twilio", "plivo"]


def test_json_is_as_providers_sign_it() -> None:
    request = WebhookRequest("POST", "https://a.example", {"a": "é", "b": "1"}, as_json=True)
    assert request.body == '{"a":"é","b":"1"}'.encode()
    assert (request.content_type, request.address) == ("application/json", "https://a.example")
    get = WebhookRequest("GET", "https://a.example?x=1", {"a": "é"})
    assert (get.body, get.address) == (b"", "https://a.example?x=1&a=%C3%A9")


def test_own_public_key_is_explained() -> None:
    credentials, signaling = account("telnyx"), PHONES["telnyx"].signaling()
    call = signaling.new_call(credentials, "+12025550123", "+12025550100")
    del credentials[SIGNING_KEY]
    with pytest.raises(MissingCredential, match="Only Telnyx itself can sign") as raised:
        signaling.sign(signaling.answer_request(call, "https://a.example"), credentials, 0)
    assert "TELNYX_PUBLIC_KEY" in raised.value.message
    assert "server/.env" in (raised.value.hint or "")


def test_refuses_to_sign_without_the_secret() -> None:
    credentials, signaling = account("twilio"), PHONES["twilio"].signaling()
    call = signaling.new_call(credentials, "+12025550123", "+12025550100")
    del credentials["TWILIO_AUTH_TOKEN"]
    with pytest.raises(MissingCredential, match="TWILIO_AUTH_TOKEN is not known"):
        signaling.sign(signaling.answer_request(call, "https://a.example/p"), credentials, 1000.0)

"""Vonage sends a token with its requests, and gets an NCCO."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jwt
import pytest

from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.vonage import Vonage
from .credentials import CREDENTIALS, VONAGE_KEY

SECRET = "a-signature-secret-of-vonage-that-is-long"
VONAGE = Vonage("app1", CREDENTIALS["VONAGE_PRIVATE_KEY"], SECRET)
URL = "https://phone.example/phone/vonage"
BODY = json.dumps({"uuid": "u1", "from": "12025550123", "to": "12025550100"}).encode()
NOW = 1_790_000_000
CONNECTED = {
    "event": "websocket:connected",
    "content-type": "audio/l16;rate=16000",
    "call_id": "u1",
}


def webhook(body: bytes = BODY, secret: str = SECRET, algorithm: str = "HS256", **claims: Any):
    own = {"iat": NOW, "jti": "j1", "payload_hash": hashlib.sha256(BODY).hexdigest()}
    sent = {name: value for name, value in (own | claims).items() if value is not None}
    token = jwt.encode(sent, secret if algorithm != "none" else "", algorithm)
    return Webhook("POST", URL, {"authorization": f"Bearer {token}"}, body)


def test_webhook_needs_a_valid_recent_token() -> None:
    assert VONAGE.check(webhook(application_id="app1"), NOW + 299) == "j1"
    for forged in (
        Webhook("POST", URL, {}, BODY),
        webhook(secret="another-secret-that-is-as-long-as-it"),
        webhook(algorithm="none"),
        webhook(body=b'{"uuid": "u2"}'),
        webhook(payload_hash=None),
        webhook(iat=None),
        webhook(jti=None),
        webhook(application_id="app2"),
    ):
        with pytest.raises(Forged):
            VONAGE.check(forged, NOW)
    with pytest.raises(Forged, match="too old"):
        VONAGE.check(webhook(), NOW + 301)


def test_get_request_is_signed_with_its_query() -> None:
    hashed = hashlib.sha256(b'{"to":"1","uuid":"u1"}').hexdigest()
    for claim in (hashed, None):
        signed = webhook(payload_hash=claim).headers
        got = Webhook("GET", f"{URL}?to=1&uuid=u1", signed)
        VONAGE.check(got, NOW)
        assert VONAGE.incoming_call(got).id == "u1"
    with pytest.raises(Forged):
        VONAGE.check(Webhook("GET", f"{URL}?to=2", webhook(payload_hash=hashed).headers), NOW)


def test_call_is_answered_with_an_ncco() -> None:
    call = VONAGE.incoming_call(webhook())
    assert call == Call("u1", "12025550123", "12025550100")
    [connect] = json.loads(VONAGE.connect_answer(call, "wss://a.example/x").body)
    [endpoint] = connect["endpoint"]
    assert endpoint["uri"] == "wss://a.example/x"
    assert endpoint["content-type"] == "audio/l16;rate=16000"
    assert endpoint["headers"]["call_id"] == "u1"
    assert json.loads(VONAGE.reject_answer().body) == []


def test_first_message_starts_the_stream() -> None:
    assert VONAGE.stream_start(json.dumps(CONNECTED)) == Stream("", "u1", "pcm", 16_000)
    narrow = CONNECTED | {"content-type": "audio/l16;rate=8000"}
    stream = VONAGE.stream_start(json.dumps(narrow))
    assert stream and stream.rate == 8000
    for wrong in (b"\0" * 640, "{}", "[]"):
        with pytest.raises(BadStart):
            VONAGE.stream_start(wrong)


def test_audio_and_marks() -> None:
    stream = Stream("", "u1", "pcm", 16_000)
    assert VONAGE.audio_of(VONAGE.audio_frame(stream, b"\1" * 640)) == b"\1" * 640
    assert VONAGE.audio_of("{}") == b""
    came = json.dumps({"event": "websocket:notify", "payload": {"mark": "goodbye"}})
    assert VONAGE.is_mark(came, "goodbye") and not VONAGE.is_mark(b"", "goodbye")


def test_api_requests() -> None:
    place = VONAGE.place_request("+12025550100", "+12025550123", URL, f"{URL}/status")
    assert place.url == "https://api.nexmo.com/v1/calls"
    assert json.loads(place.body)["to"] == [{"type": "phone", "number": "12025550123"}]
    token = place.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, VONAGE_KEY.public_key(), ["RS256"])
    assert claims["application_id"] == "app1"
    assert json.loads(VONAGE.hang_up_request("u1").body) == {"action": "hangup"}
    assert (
        json.loads(VONAGE.transfer_request("u1", "+12025550199", "").body)["action"] == "transfer"
    )

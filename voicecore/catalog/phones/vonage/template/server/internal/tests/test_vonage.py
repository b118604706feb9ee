"""Vonage's requests are known by their token, and get an NCCO."""

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


def test_only_what_is_signed_lately_is_vonages() -> None:
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


def test_a_get_says_all_in_its_address() -> None:
    hashed = hashlib.sha256(b'{"to":"1","uuid":"u1"}').hexdigest()
    for claim in (hashed, None):
        signed = webhook(payload_hash=claim).headers
        got = Webhook("GET", f"{URL}?to=1&uuid=u1", signed)
        VONAGE.check(got, NOW)
        assert VONAGE.incoming(got).id == "u1"
    with pytest.raises(Forged):
        VONAGE.check(Webhook("GET", f"{URL}?to=2", webhook(payload_hash=hashed).headers), NOW)


def test_a_call_is_answered_with_an_ncco() -> None:
    call = VONAGE.incoming(webhook())
    assert call == Call("u1", "12025550123", "12025550100")
    [connect] = json.loads(VONAGE.answer(call, "wss://a.example/x").body)
    [endpoint] = connect["endpoint"]
    assert endpoint["uri"] == "wss://a.example/x"
    assert endpoint["content-type"] == "audio/l16;rate=16000"
    assert endpoint["headers"]["call_id"] == "u1"
    assert json.loads(VONAGE.reject().body) == []


def test_a_stream_starts_with_its_very_first_message() -> None:
    assert VONAGE.started(json.dumps(CONNECTED)) == Stream("", "u1", "pcm", 16_000)
    narrow = CONNECTED | {"content-type": "audio/l16;rate=8000"}
    stream = VONAGE.started(json.dumps(narrow))
    assert stream and stream.rate == 8000
    for wrong in (b"\0" * 640, "{}", "[]"):
        with pytest.raises(BadStart):
            VONAGE.started(wrong)


def test_what_is_said_and_when_it_was_heard() -> None:
    stream = Stream("", "u1", "pcm", 16_000)
    assert VONAGE.sound(VONAGE.say(stream, b"\1" * 640)) == b"\1" * 640
    assert VONAGE.sound("{}") == b""
    came = json.dumps({"event": "websocket:notify", "payload": {"mark": "goodbye"}})
    assert VONAGE.passed(came, "goodbye") and not VONAGE.passed(b"", "goodbye")


def test_calls_by_the_api() -> None:
    place = VONAGE.place("+12025550100", "+12025550123", URL, f"{URL}/status")
    assert place.url == "https://api.nexmo.com/v1/calls"
    assert json.loads(place.body)["to"] == [{"type": "phone", "number": "12025550123"}]
    token = place.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, VONAGE_KEY.public_key(), ["RS256"])
    assert claims["application_id"] == "app1"
    assert json.loads(VONAGE.hang_up("u1").body) == {"action": "hangup"}
    assert json.loads(VONAGE.transfer("u1", "+12025550199", "").body)["action"] == "transfer"

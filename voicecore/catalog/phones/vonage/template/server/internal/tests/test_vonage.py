"""Vonage sends a token with its requests, and gets an NCCO."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest

from ..settings import Reader
from ..telephony.phone_audio import Format
from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.vonage import Vonage
from .credentials import CREDENTIALS, VONAGE_KEY

SECRET = "a-signature-secret-of-vonage-that-is-long"
VONAGE = Vonage("app1", CREDENTIALS["VONAGE_PRIVATE_KEY"], SECRET)
URL = "https://phone.example/phone/vonage"
BODY = json.dumps({"uuid": "u1", "from": "12025550123", "to": "12025550100"}).encode()
NOW = 1_790_000_000
NESTED = base64.urlsafe_b64encode(b"[" * 40_000).decode()
SOUND = Format("pcm", 16_000)
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
    assert VONAGE.check(webhook(application_id="app1"), NOW + 299).once == b"j1"
    for forged in (
        Webhook("POST", URL, {}, BODY),
        webhook(secret="another-secret-that-is-as-long-as-it"),
        webhook(algorithm="none"),
        webhook(body=b'{"uuid": "u2"}'),
        webhook(payload_hash=None),
        webhook(iat=None),
        webhook(jti=None),
        webhook(application_id="app2"),
        Webhook("POST", URL, {"authorization": f"Bearer {NESTED}.e30.e30"}, BODY),
    ):
        with pytest.raises(Forged):
            VONAGE.check(forged, NOW)
    with pytest.raises(Forged, match="too old"):
        VONAGE.check(webhook(), NOW + 301)


def test_private_key_is_a_pem_whose_lines_may_be_escaped() -> None:
    for key in (VONAGE.private_key, VONAGE.private_key.strip().replace("\n", "\\n")):
        reader = Reader({**CREDENTIALS, "VONAGE_PRIVATE_KEY": key})
        assert Vonage.read(reader).private_key == VONAGE.private_key.strip()
        assert not reader.mistakes
    reader = Reader({**CREDENTIALS, "VONAGE_PRIVATE_KEY": "private.key"})
    Vonage.read(reader)
    assert reader.mistakes == ["VONAGE_PRIVATE_KEY must be the key itself, in PEM format."]


def test_published_token_lacks_only_an_id() -> None:
    """The token in the tests of Vonage's SDK for Python (jwt/tests/test_verify_jwt.py)."""
    token = (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJPbmxpbmUgSldUIEJ1aWxkZXIiLCJpYXQiOjE2"
        "OTc2MzQ2ODAsImV4cCI6MzMyNTQ1NDA4MjgsImF1ZCI6IiIsInN1YiI6IiJ9."
        "88vJc3I2HhuqEDixHXVhc9R30tA6U_HQHZTC29y6CGM"
    )
    sent = Webhook("POST", URL, {"authorization": f"Bearer {token}"}, BODY)
    right = "qwertyuiopasdfghjklzxcvbnm123456"
    for secret, why in ((right, "jti"), (right[::-1], "Signature")):
        with pytest.raises(Forged, match=why):
            Vonage("app1", "", secret).check(sent, NOW)


def test_get_request_is_signed_with_its_query() -> None:
    """By https://api.support.vonage.com/hc/en-us/articles/19033783342876."""
    hashed = hashlib.sha256('{"to":"1","uuid":"u1","from":"é"}'.encode()).hexdigest()
    headers = webhook(payload_hash=hashed).headers
    sent = Webhook("GET", f"{URL}?to=1&uuid=u1&from=%C3%A9", headers, BODY)
    assert VONAGE.incoming_call(VONAGE.check(sent, NOW).fields) == Call("u1", "é", "1")
    for query in ("to=2&uuid=u1&from=%C3%A9", "uuid=u1&to=1&from=%C3%A9", ""):
        with pytest.raises(Forged):
            VONAGE.check(Webhook("GET", f"{URL}?{query}", headers), NOW)
    with pytest.raises(Forged):
        VONAGE.check(Webhook("GET", f"{URL}?to=1", webhook(payload_hash=None).headers), NOW)


def test_call_is_answered_with_an_ncco() -> None:
    call = VONAGE.incoming_call(VONAGE.check(webhook(), NOW).fields)
    assert call == Call("u1", "12025550123", "12025550100")
    [connect] = json.loads(VONAGE.connect_answer(call, "wss://a.example/x").body)
    [endpoint] = connect["endpoint"]
    assert endpoint["uri"] == "wss://a.example/x"
    assert endpoint["content-type"] == "audio/l16;rate=16000"
    assert endpoint["headers"]["call_id"] == "u1"
    assert json.loads(VONAGE.reject_answer().body) == []
    assert VONAGE.call_status({"uuid": "u1", "status": "busy"}) == ("u1", "busy")


def test_first_message_starts_the_stream() -> None:
    assert VONAGE.stream_start(json.dumps(CONNECTED)) == Stream("", "u1", SOUND, SOUND)
    narrow = CONNECTED | {"content-type": "audio/l16;rate=8000"}
    stream = VONAGE.stream_start(json.dumps(narrow))
    assert stream and stream.heard == stream.played == Format("pcm", 8000)
    stream = VONAGE.stream_start(json.dumps(CONNECTED | {"content-type": "audio/opus"}))
    assert stream and not stream.heard.is_known and stream.played == SOUND
    for wrong in (b"\0" * 640, "{}", "[]"):
        with pytest.raises(BadStart):
            VONAGE.stream_start(wrong)


def test_audio_and_marks() -> None:
    stream = Stream("", "u1", SOUND, SOUND)
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
    assert (VONAGE.status_request("u1").method, VONAGE.status_request("u1").body) == ("GET", b"")
    assert (
        json.loads(VONAGE.transfer_request("u1", "+12025550199", "").body)["action"] == "transfer"
    )

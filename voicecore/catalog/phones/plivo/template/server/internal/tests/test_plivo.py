"""Plivo signs its requests, and gets Plivo XML."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from ..telephony.phone_audio import Format
from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.plivo import Plivo, signature

PLIVO = Plivo("MA1", "secret")
URL = "https://phone.example/phone/plivo"
FORM = [
    ("CallStatus", "ringing"),
    ("CallUUID", "u1"),
    ("From", "12025550123"),
    ("To", "12025550100.n"),
]
SOUND = Format("ulaw", 8000)
START = {
    "event": "start",
    "start": {
        "callId": "u1",
        "streamId": "s1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
    },
}


def webhook(sent: str, nonce: str = "n1") -> Webhook:
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-plivo-signature-v3": sent,
        "x-plivo-signature-v3-nonce": nonce,
    }
    return Webhook("POST", URL, headers, urlencode(FORM).encode())


PUBLISHED = {
    "Direction": "outbound",
    "From": "19792014278",
    "ALegUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
    "CallStatus": "in-progress",
    "BillRate": "0.002",
    "ParentAuthID": "MANWVLYTK4ZWU1YTY4QA",
    "To": "sip:PlivoSignature382029104058171078704104@phone-qa.voice.plivodev.com",
    "ALegRequestUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
    "CallUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
    "RequestUUID": "3e82ae9d-2c78-4d85-b1a4-6eae7dbafb36",
    "SIP-H-To": "<sip:PlivoSignature382029104058171078704104@52.9.11.55;transport=udp>;tag=1",
    "SessionStart": "2020-04-08 11:34:33.238707",
    "Event": "StartApp",
}


# The vectors in the tests of Plivo's SDK for Go (utils_test.go).
@pytest.mark.parametrize(
    ("method", "query", "right"),
    [
        ("POST", "/?a=b&c=d", "k7Pusd4OxCIjR5IfA9iedDNu/h/gbdYqdzG/MiYtd1c="),
        ("GET", "/?a=b&c=d", "UBq8jAtd32wR8EK9VgxbBn4n5rpI/l1H9iN4WfSEHFQ="),
        ("POST", "", "iAjE5QqI37mbkYe4w3jTMudqEzbDufdqi7sYwTu64e0="),
        ("GET", "", "i/MQsaQSAd6fiKhOh2qeeeLHZ9faldADSb3/7+Akfbc="),
    ],
)
def test_published_signatures(method: str, query: str, right: str) -> None:
    url = f"https://plivobin.non-prod.plivops.com/api/v1/validate_signature03.xml{query}"
    body = b""
    if method == "GET":
        url += f"{'&' if query else '?'}{urlencode(PUBLISHED)}"
    else:
        body = urlencode(PUBLISHED).encode()
    headers = webhook(f"other, {right}", "31627761595286130198").headers
    account = Plivo("MA1", "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIyOTc4")
    signed = account.check(Webhook(method, url, headers, body), 0)
    assert account.incoming_call(signed.fields).caller == "19792014278"
    assert signed.once == base64.b64decode(right)


def test_webhook_needs_a_valid_signature() -> None:
    right = signature(URL, FORM, "n1", "secret")
    assert PLIVO.check(webhook(right), 0).once == base64.b64decode(right)
    for forged in (webhook(""), webhook("x" + right[1:]), webhook(right, "n2"), webhook(right, "")):
        with pytest.raises(Forged):
            PLIVO.check(forged, 0)


def test_nonce_cannot_take_text_from_a_field() -> None:
    right = signature(URL, FORM, "n1", "secret")
    shifted = urlencode([*FORM[:3], ("To", "12025550100")]).encode()
    # `12025550100.n` and `n1` are signed as `12025550100` and `n.n1` are: it is a replay.
    sent = Webhook("POST", URL, webhook(right, "n.n1").headers, shifted)
    assert PLIVO.check(sent, 0).once == PLIVO.check(webhook(right), 0).once


def test_only_signed_fields_are_read() -> None:
    headers = webhook(signature(URL, (), "n1", "secret")).headers
    with pytest.raises(Forged, match="no CallStatus"):
        PLIVO.check(Webhook("GET", URL, headers, urlencode(FORM).encode()), 0)


def test_handshake_signature_is_optional() -> None:
    url = "wss://a.example/x"
    headers = {
        "x-plivo-signature-v3": signature(url, (), "n1", "secret"),
        "x-plivo-signature-v3-nonce": "n1",
    }
    PLIVO.check_media(Webhook("GET", url, headers))
    PLIVO.check_media(Webhook("GET", url, {}))
    with pytest.raises(Forged):
        PLIVO.check_media(Webhook("GET", f"{url}y", headers))


def test_call_is_answered_with_xml() -> None:
    assert PLIVO.incoming_call(dict(FORM)) == Call("u1", "12025550123", "12025550100.n")
    [stream] = ElementTree.fromstring(
        PLIVO.connect_answer(Call("u1", "", ""), "wss://a.example/x").body
    )
    assert (stream.tag, stream.text) == ("Stream", "wss://a.example/x")
    assert stream.get("bidirectional") == stream.get("keepCallAlive") == "true"
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000"


def test_first_message_starts_the_stream() -> None:
    assert PLIVO.stream_start(json.dumps(START)) == Stream("s1", "u1", SOUND, SOUND)
    for wrong in ({"event": "media"}, {"event": "connected"}, {}):
        with pytest.raises(BadStart):
            PLIVO.stream_start(json.dumps(wrong))


def test_audio_and_marks() -> None:
    stream = Stream("s1", "u1", SOUND, SOUND)
    assert PLIVO.audio_of(PLIVO.audio_frame(stream, b"sound")) == b"sound"
    played = {"event": "playedStream", "streamId": "s1", "name": "goodbye"}
    assert json.loads(PLIVO.mark(stream, "goodbye"))["event"] == "checkpoint"
    assert PLIVO.is_mark(json.dumps(played), "goodbye")


def test_api_requests() -> None:
    place = PLIVO.place_request("+12025550100", "+12025550123", URL, f"{URL}/status")
    assert place.url == "https://api.plivo.com/v1/Account/MA1/Call/"
    assert PLIVO.hang_up_request("u1").method == "DELETE"
    assert json.loads(PLIVO.transfer_request("u1", "+12025550199", f"{URL}/dial/t").body) == {
        "legs": "aleg",
        "aleg_url": f"{URL}/dial/t",
        "aleg_method": "POST",
    }
    assert "<Number>+12025550199</Number>" in PLIVO.dial_answer("+12025550199").body

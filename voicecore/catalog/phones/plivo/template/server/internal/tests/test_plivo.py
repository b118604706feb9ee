"""Plivo signs its requests, and gets Plivo XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.plivo import Plivo, is_signed, signature

PLIVO = Plivo("MA1", "secret")
URL = "https://phone.example/phone/plivo"
FORM = [("CallUUID", "u1"), ("From", "12025550123"), ("To", "12025550100")]
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
    return Webhook("POST", URL, headers, b"CallUUID=u1&From=12025550123&To=12025550100")


# As plivo-python 4.63.0 signs them (plivo.utils.signature_v3).
@pytest.mark.parametrize(
    ("url", "form", "right"),
    [
        (URL, FORM, "PTlgUj5+hUHyuJkUDKsUXYE4wQ2TsoQOSERiuYrBtyk="),
        (f"{URL}?b=2&a=1", FORM, "49UUi5hfCTwVRmG5A+K7Rw0Y0P3hpVTuTLbZGUaqj+M="),
        (f"{URL}?b=2&a=1", [], "r8cYPZSR0P3eH84pThYy3ebTx+8ljtWCMPbK0dihzos="),
        (URL, [], "J+yZvQvQwImaHjFFX8w7nWuEINJQCQoUrH7nk/lb/Q0="),
    ],
)
def test_signature_equals_plivos_library(url: str, form: list[tuple[str, str]], right: str) -> None:
    assert signature(url, form, "n1", "secret") == right
    assert is_signed(f"other, {right}", url, form, "n1", "secret")


def test_webhook_needs_a_valid_signature() -> None:
    right = signature(URL, FORM, "n1", "secret")
    assert PLIVO.check(webhook(right), 0) == "n1"
    for forged in (webhook(""), webhook("x" + right[1:]), webhook(right, "n2"), webhook(right, "")):
        with pytest.raises(Forged):
            PLIVO.check(forged, 0)


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
    assert PLIVO.incoming_call(webhook("")) == Call("u1", "12025550123", "12025550100")
    [stream] = ElementTree.fromstring(
        PLIVO.connect_answer(Call("u1", "", ""), "wss://a.example/x").body
    )
    assert (stream.tag, stream.text) == ("Stream", "wss://a.example/x")
    assert stream.get("bidirectional") == stream.get("keepCallAlive") == "true"
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000"


def test_first_message_starts_the_stream() -> None:
    assert PLIVO.stream_start(json.dumps(START)) == Stream("s1", "u1", "ulaw", 8000)
    for wrong in ({"event": "media"}, {"event": "connected"}, {}):
        with pytest.raises(BadStart):
            PLIVO.stream_start(json.dumps(wrong))


def test_audio_and_marks() -> None:
    stream = Stream("s1", "u1", "ulaw", 8000)
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

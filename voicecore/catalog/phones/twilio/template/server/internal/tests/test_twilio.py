"""Twilio signs its requests, and gets TwiML."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode
from xml.etree import ElementTree

import pytest

from ..telephony.phone_audio import Format
from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.twilio import Twilio, is_signed, signature

TWILIO = Twilio("AC1", "12345")
URL = "https://phone.example/phone/twilio"
FORM = {
    "CallSid": "CA1",
    "CallStatus": "ringing",
    "From": "+12025550123",
    "To": "+12025550100",
}
SOUND = Format("ulaw", 8000)
START = {
    "event": "start",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "callSid": "CA1",
        "streamSid": "MZ1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}


def webhook(**headers: str) -> Webhook:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return Webhook("POST", URL, kind | headers, urlencode(FORM).encode())


# From Twilio's documentation, and from the tests of its own libraries.
@pytest.mark.parametrize(
    ("url", "form", "right"),
    [
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            {
                "CallSid": "CA1234567890ABCDE",
                "Caller": "+12349013030",
                "Digits": "1234",
                "From": "+12349013030",
                "To": "+18005551212",
            },
            "0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
        ),
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            {"Sid": "CA123", "SidAccount": "AC123", "Digits": ["5678", "1234"]},
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        ("wss://example.com/ws/abc", {}, "qk8rtKa9sAtHvyH+d4hp7h23IJo="),
    ],
)
def test_published_signatures(url: str, form: dict[str, Any], right: str) -> None:
    fields = parse_qsl(urlencode(form, doseq=True))
    assert signature(url, fields, "12345") == right
    assert is_signed(right, url.replace(".com/", ".com:443/"), fields, "12345")


@pytest.mark.parametrize(("scheme", "port"), [("https", 443), ("wss", 443), ("http", 80)])
def test_url_may_be_signed_with_its_usual_port(scheme: str, port: int) -> None:
    right = signature(f"{scheme}://a.example:{port}/x", (), "12345")
    assert is_signed(right, f"{scheme}://a.example/x", (), "12345")
    assert not is_signed(right, f"{scheme}://a.example:81/x", (), "12345")


def test_repeated_field_is_signed_once() -> None:
    once = signature(URL, FORM.items(), "12345")
    assert signature(URL, [*FORM.items(), *FORM.items()], "12345") == once


def test_webhook_needs_a_valid_signature() -> None:
    right = signature(URL, FORM.items(), "12345")
    assert TWILIO.check(webhook(**{"x-twilio-signature": right}), 0).once == base64.b64decode(right)
    for headers in ({}, {"x-twilio-signature": "x" + right[1:]}):
        with pytest.raises(Forged):
            TWILIO.check(webhook(**headers), 0)
    altered = Webhook("POST", URL, webhook(**{"x-twilio-signature": right}).headers, b"CallSid=CA2")
    with pytest.raises(Forged):
        TWILIO.check(altered, 0)


def test_only_signed_fields_are_read() -> None:
    as_json = {"content-type": "application/json"}
    headers = {"x-twilio-signature": signature(URL, (), "12345"), **as_json}
    with pytest.raises(Forged):
        TWILIO.check(Webhook("POST", URL, headers, json.dumps(FORM).encode()), 0)
    with pytest.raises(Forged):  # the URL is signed, the body of a GET is not
        TWILIO.check(Webhook("GET", URL, headers, urlencode(FORM).encode()), 0)
    # As one text, these fields equal FORM.
    shifted = {"CallSidCA1": "", "CallStatus": "ringing", "From": FORM["From"], "To": FORM["To"]}
    headers = {"x-twilio-signature": signature(URL, FORM.items(), "12345")}
    with pytest.raises(Forged, match="no CallSid"):
        TWILIO.check(Webhook("POST", URL, headers, urlencode(shifted).encode()), 0)


@pytest.mark.parametrize("signed", ["wss://a.example/x", "https://a.example/x/"])
def test_handshake_may_be_signed_as_https(signed: str) -> None:
    right = {"x-twilio-signature": signature(signed, (), "12345")}
    TWILIO.check_media(Webhook("GET", "wss://a.example/x", right))
    TWILIO.check_media(Webhook("GET", "wss://a.example/x", {}))
    with pytest.raises(Forged):
        TWILIO.check_media(Webhook("GET", "wss://a.example/y", right))


def test_call_is_answered_with_twiml() -> None:
    assert TWILIO.incoming_call(FORM) == Call("CA1", "+12025550123", "+12025550100")
    answer = TWILIO.connect_answer(Call("CA1", '"><', "+12025550100"), "wss://a.example/x")
    [connect] = ElementTree.fromstring(answer.body)
    [stream] = connect
    assert (connect.tag, stream.tag, stream.get("url")) == (
        "Connect",
        "Stream",
        "wss://a.example/x",
    )
    parameters = {parameter.get("name"): parameter.get("value") for parameter in stream}
    assert parameters == {"from_number": '"><', "to_number": "+12025550100"}
    assert "<Reject/>" in TWILIO.reject_answer().body
    assert TWILIO.call_status(FORM) == ("CA1", "ringing")


def test_start_names_the_call() -> None:
    assert TWILIO.stream_start(json.dumps({"event": "connected"})) is None
    assert TWILIO.stream_start(json.dumps(START)) == Stream("MZ1", "CA1", SOUND, SOUND)
    other = {**START, "start": {**START["start"], "accountSid": "AC2"}}
    media = {"event": "media", "media": {"payload": "AAAA"}}
    for wrong in (other, media, {}, [], {"event": "start"}, {"event": "start", "start": 1}):
        with pytest.raises(BadStart):
            TWILIO.stream_start(json.dumps(wrong))


def test_audio_and_marks() -> None:
    stream = Stream("MZ1", "CA1", SOUND, SOUND)
    frame = TWILIO.audio_frame(stream, b"sound")
    assert TWILIO.audio_of(frame) == b"sound"
    assert TWILIO.audio_of('{"event": "media", "media": {"payload": "?"}}') == b""
    mark = TWILIO.mark(stream, "goodbye")
    assert TWILIO.is_mark(mark, "goodbye") and not TWILIO.is_mark(mark, "other")


def test_api_requests() -> None:
    place = TWILIO.place_request("+12025550100", "+12025550123", URL, f"{URL}/status")
    assert place.url == "https://api.twilio.com/2010-04-01/Accounts/AC1/Calls.json"
    form = parse_qs(place.body.decode())
    assert form["To"] == ["+12025550123"] and form["Url"] == [URL]
    assert parse_qs(TWILIO.hang_up_request("CA1").body.decode()) == {"Status": ["completed"]}
    transfer = parse_qs(TWILIO.transfer_request("CA1", "+12025550199", "").body.decode())
    assert "<Dial>+12025550199</Dial>" in transfer["Twiml"][0]

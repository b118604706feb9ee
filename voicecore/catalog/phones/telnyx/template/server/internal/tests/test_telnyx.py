"""Telnyx signs its requests with a time, and gets TeXML."""

from __future__ import annotations

import base64
import json

import pytest

from ..api_errors import ApiError
from ..settings import Reader
from ..telephony.phone_audio import Format
from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook
from ..telephony.providers.telnyx import Telnyx, is_signed
from .credentials import CREDENTIALS, TELNYX_KEY

TELNYX = Telnyx("KEY1", CREDENTIALS["TELNYX_PUBLIC_KEY"], "7")
URL = "https://phone.example/phone/telnyx"
BODY = b"CallSid=v3%3Aabc&From=%2B12025550123&To=%2B12025550100"
NOW = 1_790_000_000
SOUND = Format("ulaw", 8000)
START = {
    "event": "start",
    "stream_id": "s1",
    "start": {
        "call_control_id": "v3:abc",
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    },
}


def webhook(time: object = NOW, body: bytes = BODY, signed: bytes = BODY) -> Webhook:
    signature = TELNYX_KEY.sign(f"{time}|".encode() + signed)
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "telnyx-timestamp": str(time),
        "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
    }
    return Webhook("POST", URL, headers, body)


def test_webhook_needs_a_valid_recent_signature() -> None:
    assert TELNYX.check(webhook(), NOW + 299).once
    unsigned = Webhook("POST", URL, {"telnyx-timestamp": str(NOW)}, BODY)
    for forged in (unsigned, webhook(signed=b"other"), webhook(time="now"), webhook(time=-1)):
        with pytest.raises(Forged):
            TELNYX.check(forged, NOW)
    with pytest.raises(Forged, match="too old"):
        TELNYX.check(webhook(), NOW + 301)


def test_signature_equals_telnyx_library() -> None:
    """Telnyx publishes no example; its SDK for Python (4.189.0) accepts this one.

    The key is that of RFC 8032, section 7.1, test 1.
    """
    sent = dict(webhook().headers)
    sent["telnyx-signature-ed25519"] = (
        "R8l1NWKiKymOZsR/7Dsqe/1AirHeF2t6+pomEMr1DiO4aWbj1Ar4TvW6oS4q8mrA238xcZ100LWUk40T8YIKBQ=="
    )
    account = Telnyx("KEY1", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert account.check(Webhook("POST", URL, sent, BODY), NOW).fields["CallSid"] == "v3:abc"


def test_signature_is_compared_as_bytes() -> None:
    right = webhook().headers["telnyx-signature-ed25519"]  # 64 bytes: the last 4 bits are unused
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = digits[digits.index(right[-3]) + 1]
    again = webhook()
    again = Webhook(
        "POST", URL, {**again.headers, "telnyx-signature-ed25519": f"{right[:-3]}{last}=="}, BODY
    )
    assert TELNYX.check(again, NOW).once == TELNYX.check(webhook(), NOW).once


def test_public_key_is_32_bytes_in_base64() -> None:
    right = CREDENTIALS["TELNYX_PUBLIC_KEY"]
    reader = Reader({"TELNYX_API_KEY": "KEY1", "TELNYX_PUBLIC_KEY": right})
    assert Telnyx.read(reader) == Telnyx("KEY1", right) and not reader.mistakes
    sent = webhook().headers
    signature, time = sent["telnyx-signature-ed25519"], sent["telnyx-timestamp"]
    assert is_signed(signature, time, BODY, right)
    for key in (f"{right}!", right[:20], "AAAA"):
        reader = Reader({"TELNYX_API_KEY": "KEY1", "TELNYX_PUBLIC_KEY": key})
        assert Telnyx.read(reader).public_key == key and len(reader.mistakes) == 1
        assert not is_signed(signature, time, BODY, key)


def test_only_the_signed_body_is_read() -> None:
    headers = {**webhook().headers, "content-type": ""}
    sent = Webhook("POST", f"{URL}?To=%2B1&ToCity=X", headers, BODY)
    call = TELNYX.incoming_call(TELNYX.check(sent, NOW).fields)
    assert call == Call("v3:abc", "+12025550123", "+12025550100")
    with pytest.raises(Forged, match="select POST"):
        TELNYX.check(Webhook("GET", f"{URL}?CallSid=1", webhook().headers, BODY), NOW)


def test_call_is_answered_with_rtp_in_both_directions() -> None:
    answer = TELNYX.connect_answer(Call("v3:abc", "", ""), "wss://a.example/x?a=1&b=2")
    assert 'bidirectionalMode="rtp"' in answer.body and "a=1&amp;b=2" in answer.body
    assert "<Reject/>" in TELNYX.reject_answer().body
    assert TELNYX.call_status({"CallSid": "v3:abc", "CallStatus": "busy"}) == ("v3:abc", "busy")


def test_start_names_the_call() -> None:
    assert TELNYX.stream_start(json.dumps({"event": "connected"})) is None
    assert TELNYX.stream_start(json.dumps(START)) == Stream("s1", "v3:abc", SOUND, SOUND)
    for wrong in ({"event": "media", "media": {"payload": "AAAA"}}, {}, 1):
        with pytest.raises(BadStart):
            TELNYX.stream_start(json.dumps(wrong))


@pytest.mark.parametrize(
    ("encoding", "heard"), [("PCMA", Format("alaw", 8000)), ("G722", Format("G722", 8000))]
)
def test_caller_is_heard_in_the_codec_of_the_line(encoding: str, heard: Format) -> None:
    """https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream"""
    format = {"encoding": encoding, "sample_rate": 8000, "channels": 1}
    start = {**START, "start": {**START["start"], "media_format": format}}
    stream = TELNYX.stream_start(json.dumps(start))
    assert stream == Stream("s1", "v3:abc", heard, SOUND)
    assert heard.is_known is (encoding == "PCMA")


def test_audio_of_another_track_is_no_audio_of_the_caller() -> None:
    for track, audio in (("inbound", b"\0"), ("outbound", None), (None, b"\0")):
        media = {"track": track, "payload": "AA=="}
        assert TELNYX.audio_of(json.dumps({"event": "media", "media": media})) == audio


def test_api_requests() -> None:
    place = TELNYX.place_request("+12025550100", "+12025550123", URL, f"{URL}/status")
    assert place.url == "https://api.telnyx.com/v2/texml/calls/7"
    assert json.loads(place.body)["Url"] == URL
    hang_up = TELNYX.hang_up_request("v3:abc")
    assert hang_up.url == "https://api.telnyx.com/v2/calls/v3%3Aabc/actions/hangup"
    assert hang_up.headers["Authorization"] == "Bearer KEY1"
    assert (
        json.loads(TELNYX.transfer_request("v3:abc", "+12025550199", "").body)["to"]
        == "+12025550199"
    )
    with pytest.raises(ApiError):
        Telnyx("KEY1", TELNYX.public_key).place_request("", "", "", "")

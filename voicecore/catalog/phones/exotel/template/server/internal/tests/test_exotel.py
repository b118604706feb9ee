"""Exotel sends key and token, and gets the URL of a media socket."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from ..api_errors import ApiError
from ..telephony.phone_audio import Format
from ..telephony.provider import BadStart, Call, Forged, Stream, Webhook, basic
from ..telephony.providers.exotel import Exotel

EXOTEL = Exotel("SID1", "key", "token", "42")
URL = "https://phone.example/phone/exotel?CallSid=c1&CallFrom=012025550123&CallTo=012025550100"
SOUND = Format("pcm", 8000)
START = {
    "event": "start",
    "stream_sid": "s1",
    "start": {
        "stream_sid": "s1",
        "call_sid": "c1",
        "account_sid": "SID1",
        "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"},
    },
}


def test_webhook_needs_key_and_token() -> None:
    EXOTEL.check(Webhook("GET", URL, {"authorization": basic("key", "token")}), 0)
    for headers in ({}, {"authorization": basic("key", "other")}, {"authorization": "Basic é"}):
        with pytest.raises(Forged):
            EXOTEL.check(Webhook("GET", URL, headers), 0)


def test_call_is_answered_with_a_url() -> None:
    sent = Webhook("GET", URL, {"authorization": basic("key", "token")}, b"CallSid=c2")
    call = EXOTEL.incoming_call(EXOTEL.check(sent, 0).fields)
    assert call == Call("c1", "012025550123", "012025550100")
    assert json.loads(EXOTEL.connect_answer(call, "wss://a.example/x").body) == {
        "url": "wss://a.example/x"
    }
    assert EXOTEL.reject_answer().status == 404
    assert EXOTEL.call_status({"CallSid": "c1", "Status": "completed"}) == ("c1", "completed")


def test_start_names_the_call() -> None:
    assert EXOTEL.stream_start(json.dumps({"event": "connected"})) is None
    assert EXOTEL.stream_start(json.dumps(START)) == Stream("s1", "c1", SOUND, SOUND)
    for encoding, rate in (("raw/slin", "16000"), ("base64", 24_000), ("mulaw", "8000")):
        format = {"encoding": encoding, "sample_rate": rate}
        start = {**START, "start": {**START["start"], "media_format": format}}
        stream = EXOTEL.stream_start(json.dumps(start))
        assert stream and stream.played.is_known
        assert stream.heard == (stream.played if encoding != "mulaw" else Format("mulaw", 8000))
    other = {**START, "start": {**START["start"], "account_sid": "SID2"}}
    for wrong in (other, {"event": "media"}, {}):
        with pytest.raises(BadStart):
            EXOTEL.stream_start(json.dumps(wrong))


def test_audio_and_marks() -> None:
    stream = Stream("s1", "c1", SOUND, SOUND)
    frame = EXOTEL.audio_frame(stream, b"sound")
    assert EXOTEL.audio_of(frame) == b"sound"
    mark = EXOTEL.mark(stream, "goodbye")
    assert EXOTEL.is_mark(mark, "goodbye") and not EXOTEL.is_mark(mark, "other")
    assert {json.loads(each)["stream_sid"] for each in (frame, mark)} == {"s1"}


def test_api_requests() -> None:
    place = EXOTEL.place_request("+12025550100", "+12025550123", "", "https://phone.example/status")
    form = parse_qs(place.body.decode())
    assert form["From"] == ["+12025550123"]
    assert form["Url"] == ["http://my.exotel.com/SID1/exoml/start_voice/42"]
    assert EXOTEL.hang_up_request("c1") is None
    with pytest.raises(ApiError):
        EXOTEL.transfer_request("c1", "+12025550199", "")

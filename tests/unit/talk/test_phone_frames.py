"""Frames as the providers document them, written and read, and what each provider refuses."""

import json

import pytest

from voicecore.catalog.phones import PHONES
from voicecore.talk.telephone.media_frames import (
    KEYPAD,
    WIRES,
    BadFrame,
    Clear,
    Count,
    Mark,
    Play,
    Press,
    Stream,
)

STREAM = Stream("AC1", "CA1", "MZ1", "+12025550123", "+12025550100", {"k": "v"})
COUNT = Count(message=3, chunks=1, ms=20)

# In order: what opens the stream, sound, a key, a mark that was reached, the end.
GOLDEN = {
    "twilio": [
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        '{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"accountSid":"AC1",'
        '"streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":'
        '"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"k":"v"}}}',
        '{"event":"media","sequenceNumber":"3","streamSid":"MZ1","media":{"track":"inbound",'
        '"chunk":"2","timestamp":"20","payload":"fn8="}}',
        '{"event":"dtmf","sequenceNumber":"3","streamSid":"MZ1","dtmf":{"track":"inbound_track",'
        '"digit":"1"}}',
        '{"event":"mark","sequenceNumber":"3","streamSid":"MZ1","mark":{"name":"x"}}',
        '{"event":"stop","sequenceNumber":"3","streamSid":"MZ1","stop":{"accountSid":"AC1",'
        '"callSid":"CA1"}}',
    ],
    "telnyx": [
        '{"event":"connected","version":"1.0.0"}',
        '{"event":"start","sequence_number":"1","stream_id":"MZ1","start":{"user_id":"AC1",'
        '"call_control_id":"CA1","call_session_id":"","from":"+12025550123","to":"+12025550100",'
        '"custom_parameters":{"k":"v"},"media_format":{"encoding":"PCMU","sample_rate":8000,'
        '"channels":1}}}',
        '{"event":"media","sequence_number":"3","stream_id":"MZ1","media":{"track":"inbound",'
        '"chunk":"2","timestamp":"20","payload":"fn8="}}',
        '{"event":"dtmf","sequence_number":"3","stream_id":"MZ1","dtmf":{"digit":"1"}}',
        '{"event":"mark","sequence_number":"3","stream_id":"MZ1","mark":{"name":"x"}}',
        '{"event":"stop","sequence_number":"3","stream_id":"MZ1","stop":{"user_id":"AC1",'
        '"call_control_id":"CA1"}}',
    ],
    "plivo": [
        '{"event":"start","sequenceNumber":1,"start":{"callId":"CA1","streamId":"MZ1",'
        '"accountId":"AC1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw",'
        '"sampleRate":8000}},"extra_headers":"k=v"}',
        '{"event":"media","sequenceNumber":3,"streamId":"MZ1","media":{"track":"inbound",'
        '"timestamp":"20","chunk":2,"payload":"fn8="}}',
        '{"event":"dtmf","sequenceNumber":3,"streamId":"MZ1","dtmf":{"track":"inbound",'
        '"timestamp":"20","digit":"1"}}',
        '{"event":"playedStream","sequenceNumber":3,"streamId":"MZ1","name":"x"}',
        None,
    ],
    "exotel": [
        '{"event":"connected"}',
        '{"event":"start","sequence_number":"1","stream_sid":"MZ1","start":{"stream_sid":"MZ1",'
        '"call_sid":"CA1","account_sid":"AC1","from":"+12025550123","to":"+12025550100",'
        '"custom_parameters":{"k":"v"},"media_format":{"encoding":"audio/x-raw","sample_rate":'
        '"8000","bit_rate":"16"}}}',
        '{"event":"media","sequence_number":"3","stream_sid":"MZ1","media":{"chunk":"2",'
        '"timestamp":"20","payload":"fn8="}}',
        '{"event":"dtmf","sequence_number":"3","stream_sid":"MZ1","dtmf":{"digit":"1",'
        '"duration":"100"}}',
        '{"event":"mark","sequence_number":"3","stream_sid":"MZ1","mark":{"name":"x"}}',
        '{"event":"stop","sequence_number":"3","stream_sid":"MZ1","stop":{"call_sid":"CA1",'
        '"account_sid":"AC1","reason":"callended"}}',
    ],
    "vonage": [
        '{"event":"websocket:connected","content-type":"audio/l16;rate=16000","k":"v"}',
        b"\x7e\x7f",
        '{"event":"websocket:dtmf","digit":"1","duration":260}',
        '{"event":"websocket:notify","payload":{"mark":"x"}}',
        None,
    ],
}


@pytest.mark.parametrize("provider", WIRES)
def test_what_a_provider_sends(provider: str) -> None:
    wire = WIRES[provider]
    mark = '{"mark":"x"}' if provider == "vonage" else "x"
    assert [
        *wire.opening(STREAM),
        wire.media(STREAM, COUNT, b"\x7e\x7f"),
        wire.key(STREAM, COUNT, "1"),
        wire.played(STREAM, COUNT, mark),
        wire.stop(STREAM, COUNT),
    ] == GOLDEN[provider]


MULAW = bytes(160)
SENT = {
    "twilio": [
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"fn8="}}', Play(b"\x7e\x7f")),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":"x"}}', Mark("x")),
        ('{"event":"clear","streamSid":"MZ1"}', Clear()),
    ],
    "telnyx": [
        ('{"event":"media","media":{"payload":"fn8="}}', Play(b"\x7e\x7f")),
        ('{"event":"mark","mark":{"name":"x"}}', Mark("x")),
        ('{"event":"clear"}', Clear()),
    ],
    "plivo": [
        (
            '{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,'
            '"payload":"fn8="},"streamId":"MZ1"}',
            Play(b"\x7e\x7f"),
        ),
        ('{"event":"checkpoint","streamId":"MZ1","name":"x"}', Mark("x")),
        ('{"event":"clearAudio","streamId":"MZ1"}', Clear()),
        ('{"event":"sendDTMF","streamId":"MZ1","dtmf":"12"}', Press("12")),
    ],
    "exotel": [
        ('{"event":"media","stream_sid":"MZ1","media":{"payload":"fn8="}}', Play(b"\x7e\x7f")),
        ('{"event":"mark","stream_sid":"MZ1","mark":{"name":"x"}}', Mark("x")),
        ('{"event":"clear","stream_sid":"MZ1"}', Clear()),
    ],
    "vonage": [
        (bytes(640), Play(bytes(640))),
        ('{"action":"notify","payload":{"mark":"x"}}', Mark('{"mark":"x"}')),
        ('{"action":"clear"}', Clear()),
    ],
}


@pytest.mark.parametrize("provider", WIRES)
def test_what_a_server_sends(provider: str) -> None:
    read = [WIRES[provider].read(STREAM, message) for message, _ in SENT[provider]]
    assert read == [request for _, request in SENT[provider]]


@pytest.mark.parametrize(
    ("provider", "message", "told"),
    [
        ("twilio", "{", "no JSON"),
        ("twilio", "[]", "no object"),
        ("twilio", b"\x00" * 160, "a binary message"),
        ("twilio", '{"event":"clear","streamSid":"MZ2"}', "'MZ2' is not of this call"),
        ("twilio", '{"event":"say","streamSid":"MZ1"}', "the event 'say'"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":"f"}}', "no base64"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":""}}', "0 bytes"),
        ("twilio", '{"event":"media","streamSid":"MZ1"}', "no 'media'"),
        ("twilio", '{"event":"mark","streamSid":"MZ1","mark":{}}', "a mark without a name"),
        ("exotel", '{"event":"media","stream_sid":"MZ1","media":{"payload":"fn9/"}}', "3 bytes"),
        (
            "plivo",
            '{"event":"playAudio","streamId":"MZ1","media":{"contentType":"audio/x-l16",'
            '"sampleRate":16000,"payload":"fn8="}}',
            "sound as audio/x-l16 at 16000",
        ),
        ("plivo", '{"event":"checkpoint","streamId":"MZ1"}', "a mark without a name"),
        ("plivo", '{"event":"media","streamId":"MZ1"}', "the event 'media'"),
        ("vonage", bytes(1280), "1280 bytes of sound, where each message holds 640"),
        ("vonage", '{"event":"clear"}', "the action None"),
    ],
)
def test_what_a_provider_refuses(provider: str, message: str | bytes, told: str) -> None:
    with pytest.raises(BadFrame, match=told):
        WIRES[provider].read(STREAM, message)


def test_only_plivo_and_vonage_confirm_that_all_is_cleared() -> None:
    told = {name: wire.cleared(STREAM, COUNT) for name, wire in WIRES.items()}
    assert {name: json.loads(text)["event"] for name, text in told.items() if text} == {
        "plivo": "clearedAudio",
        "vonage": "websocket:cleared",
    }


def test_every_registered_provider_is_spoken() -> None:
    spoken = {name: (wire.rate, wire.mulaw) for name, wire in WIRES.items()}
    assert spoken == {
        phone.name: (phone.rate, phone.encoding == "audio/x-mulaw") for phone in PHONES.values()
    }


def test_a_keypad() -> None:
    assert sorted(KEYPAD) == sorted("1234567890*#")

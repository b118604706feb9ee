"""Media frames as the providers document them: written, read and refused."""

import json

import pytest

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import (
    KEYPAD,
    BadMessage,
    Clear,
    Mark,
    MediaStream,
    Play,
    Press,
    StreamPosition,
)
from voicecore.catalog.phones.record import ALAW, MULAW

STREAM = MediaStream("AC1", "CA1", "MZ1", "+12025550123", "+12025550100", {"k": "v"})
POSITION = StreamPosition(message=3, chunks=1, ms=20)

# In order: opening, audio, a key, a mark that was reached, the end.
FROM_PROVIDER = {
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


@pytest.mark.parametrize("provider", PHONES)
def test_writes_the_frames_of_a_provider(provider: str) -> None:
    media = PHONES[provider].media()
    mark = '{"mark":"x"}' if provider == "vonage" else "x"
    assert [
        *media.opening(STREAM),
        media.media(STREAM, POSITION, b"\x7e\x7f"),
        media.key(STREAM, POSITION, "1"),
        media.played(STREAM, POSITION, mark),
        media.stop(STREAM, POSITION),
    ] == FROM_PROVIDER[provider]


FROM_SERVER = {
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


@pytest.mark.parametrize("provider", PHONES)
def test_reads_the_frames_of_a_server(provider: str) -> None:
    media = PHONES[provider].media()
    read = [media.read(STREAM, message) for message, _ in FROM_SERVER[provider]]
    assert read == [command for _, command in FROM_SERVER[provider]]


@pytest.mark.parametrize(
    ("provider", "message", "reason"),
    [
        ("twilio", "{", "not JSON"),
        ("twilio", "[" * 200_000, "not JSON"),
        ("twilio", "9" * 5000, "not JSON"),
        ("twilio", "[]", "not an object"),
        ("twilio", b"\x00" * 160, "a binary message"),
        ("twilio", '{"event":"clear","streamSid":"MZ2"}', "'MZ2' is not this call's stream"),
        ("twilio", '{"event":"say","streamSid":"MZ1"}', "the event 'say'"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":"f"}}', "not base64"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":"é"}}', "not base64"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":"fn8=!"}}', "not base64"),
        ("twilio", '{"event":"media","streamSid":"MZ1","media":{"payload":""}}', "0 bytes"),
        ("twilio", '{"event":"media","streamSid":"MZ1"}', "without 'media'"),
        ("twilio", '{"event":"mark","streamSid":"MZ1","mark":{}}', "a mark without a name"),
        ("twilio", '{"event":"mark","streamSid":"MZ1","mark":{"name":""}}', "without a name"),
        ("twilio", '{"event":"mark","streamSid":"MZ1","mark":{"name":7}}', "without a name"),
        ("exotel", '{"event":"media","stream_sid":"MZ1","media":{"payload":"fn9/"}}', "3 bytes"),
        (
            "plivo",
            '{"event":"playAudio","streamId":"MZ1","media":{"contentType":"audio/x-l16",'
            '"sampleRate":16000,"payload":"fn8="}}',
            "audio as audio/x-l16 at 16000",
        ),
        ("plivo", '{"event":"checkpoint","streamId":"MZ1"}', "a mark without a name"),
        ("plivo", '{"event":"media","streamId":"MZ1"}', "the event 'media'"),
        ("vonage", bytes(1280), "1280 bytes of audio; each message must hold 640"),
        ("vonage", '{"event":"clear"}', "the action None"),
    ],
)
def test_refuses_frames_that_the_provider_refuses(
    provider: str, message: str | bytes, reason: str
) -> None:
    with pytest.raises(BadMessage, match=reason):
        PHONES[provider].media().read(STREAM, message)


def test_only_plivo_and_vonage_confirm_a_clear() -> None:
    answers = {name: phone.media().cleared(STREAM, POSITION) for name, phone in PHONES.items()}
    assert {name: json.loads(text)["event"] for name, text in answers.items() if text} == {
        "plivo": "clearedAudio",
        "vonage": "websocket:cleared",
    }


def test_only_exotel_sends_100_ms_per_message() -> None:
    sizes = {name: phone.media().chunk_bytes for name, phone in PHONES.items()}
    pcm_16k, pcm_8k, mulaw = 2 * 16 * 20, 2 * 8 * 100, 8 * 20
    assert sizes == {
        "twilio": mulaw, "telnyx": mulaw, "plivo": mulaw, "exotel": pcm_8k, "vonage": pcm_16k
    }  # fmt: skip


def test_plivo_and_vonage_report_no_marks_for_cleared_audio() -> None:
    silent = [name for name, phone in PHONES.items() if not phone.media().marks_when_cleared]
    assert silent == ["plivo", "vonage"]


def test_streams_use_the_encoding_of_the_record() -> None:
    medias = {name: phone.media() for name, phone in PHONES.items()}
    assert {name: (media.rate, media.encoding) for name, media in medias.items()} == {
        phone.name: (phone.rate, phone.encoding) for phone in PHONES.values()
    }


def test_line_names_its_format_at_the_start_and_changes_no_other() -> None:
    telnyx = PHONES["telnyx"].media()
    alaw = telnyx.over(ALAW, chunk_ms=10)
    start = json.loads(alaw.opening(STREAM)[1])["start"]
    assert start["media_format"] == {"encoding": "PCMA", "sample_rate": 8000, "channels": 1}
    assert (alaw.chunk_bytes, alaw.plays, telnyx.encoding) == (80, MULAW, MULAW)
    exotel = PHONES["exotel"].media().over(rate=24_000)
    start = json.loads(exotel.opening(STREAM)[1])["start"]
    assert start["media_format"]["sample_rate"] == "24000" and exotel.chunk_bytes == 4800


def test_keypad_has_twelve_keys() -> None:
    assert sorted(KEYPAD) == sorted("1234567890*#")

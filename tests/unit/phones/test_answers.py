"""Answers to a call: read as the provider reads them, and refused as it refuses them."""

import pytest

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.answers import AnswerRefused, Connect, Dial, HangUp, Say

URL = "wss://agent.example.com/phone/p/media/token"


def twiml(inside: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inside}</Response>'


def ncco(endpoint: str) -> str:
    return f'[{{"action":"connect","endpoint":[{endpoint}]}}]'


SOCKET = f'"type":"websocket","uri":"{URL}","content-type":"audio/l16;rate=16000"'


@pytest.mark.parametrize(
    ("provider", "answer", "steps"),
    [
        (
            "twilio",
            twiml(f'<Connect><Stream url="{URL}"><Parameter name="k" value="&lt;v&gt;"/></Stream>'
                  "</Connect><Say>Bye</Say><Hangup/>"),
            (Connect(URL, {"k": "<v>"}), Say("Bye"), HangUp()),
        ),
        ("twilio", twiml("<Reject/>"), (HangUp(rejected=True),)),
        ("twilio", twiml("<Dial>+12025550199</Dial>"), (Dial("+12025550199"),)),
        ("twilio", twiml("<Dial><Number>+12025550199</Number></Dial>"), (Dial("+12025550199"),)),
        ("twilio", twiml("<Pause/><Play>a.mp3</Play><Hangup/>"), (HangUp(),)),
        (
            "telnyx",
            twiml(f'<Connect><Stream url="{URL}" bidirectionalMode="rtp" '
                  'bidirectionalCodec="PCMU"/></Connect>'),
            (Connect(URL),),
        ),
        (
            "plivo",
            twiml('<Stream bidirectional="true" keepCallAlive="true" '
                  f'contentType="audio/x-mulaw;rate=8000" extraHeaders="a=1;b=2">\n {URL}\n'
                  "</Stream>"),
            (Connect(URL, {"a": "1", "b": "2"}),),
        ),
        ("plivo", twiml('<Hangup reason="rejected"/>'), (HangUp(rejected=True),)),
        ("exotel", f'{{"url":"{URL}"}}', (Connect(URL),)),
        ("exotel", '{"url":"ws://127.0.0.1:7860/m"}', (Connect("ws://127.0.0.1:7860/m"),)),
        (
            "vonage",
            ncco(f'{{{SOCKET},"headers":{{"call_id":"1"}}}}'),
            (Connect(URL, {"call_id": "1"}),),
        ),
        ("vonage", "[]", (HangUp(rejected=True),)),
        (
            "vonage",
            '[{"action":"talk","text":"Sorry"},{"action":"connect","endpoint":[{"type":"phone",'
            '"number":"12025550199"}]}]',
            (Say("Sorry"), Dial("12025550199")),
        ),
    ],
)  # fmt: skip
def test_reads_the_steps_of_an_answer(provider: str, answer: str, steps: object) -> None:
    assert PHONES[provider].signaling().read_answer(answer) == steps


ENTITIES = '<!DOCTYPE a [<!ENTITY b "b">]><Response><Say>&b;</Say></Response>'


@pytest.mark.parametrize(
    ("provider", "answer", "reason"),
    [
        ("twilio", "", "it is not XML"),
        ("twilio", "{}", "it is not XML"),
        ("twilio", "<Response><Connect></Response>", "it is not XML"),
        ("twilio", ENTITIES, "it has a document type"),
        ("twilio", "<response/>", "its root is <response>, not <Response>"),
        ("twilio", "<Response/>", "it has no verb"),
        ("twilio", twiml("<Converse/>"), "cannot follow the verb <Converse>"),
        ("twilio", twiml(f'<Start><Stream url="{URL}"/></Start>'), "<Start> only listens"),
        ("twilio", twiml(f'<Connect><Stream url="{URL}?a=1"/></Connect>'), "31922"),
        ("twilio", twiml('<Connect><Stream url="https://a.example"/></Connect>'), "not a wss://"),
        ("twilio", twiml('<Connect><Stream url="ws://a.example/b"/></Connect>'), "needs wss://"),
        ("twilio", twiml("<Connect/>"), "must hold one <Stream>"),
        (
            "twilio",
            twiml(f'<Connect><Stream url="{URL}"><Parameter name="a" value="{"b" * 500}"/>'
                  "</Stream></Connect>"),
            "longer than 500",
        ),
        ("telnyx", twiml(f'<Connect><Stream url="{URL}"/></Connect>'), "the caller hears nothing"),
        (
            "telnyx",
            twiml(f'<Connect><Stream url="{URL}" bidirectionalMode="rtp" '
                  'bidirectionalCodec="OPUS"/></Connect>'),
            "not PCMU",
        ),
        ("plivo", twiml(f"<Stream>{URL}</Stream>"), "the caller hears nothing"),
        (
            "plivo",
            twiml(f'<Stream bidirectional="true" contentType="audio/x-l16;rate=16000">{URL}'
                  "</Stream>"),
            "not audio/x-mulaw",
        ),
        ("plivo", twiml('<Stream bidirectional="true">example.com</Stream>'), "not a wss:// URL"),
        *(
            ("exotel", f'{{"url":"{url}"}}', "not a wss:// URL")
            for url in ("wss://[::1", "wss://example.com:99999", "wss://example.com:0")
        ),
        ("exotel", "[" * 200_000, "it is not JSON"),
        ("exotel", f'"{URL}"', 'it is not {"url"'),
        ("exotel", "<Response/>", "it is not JSON"),
        ("exotel", f'{{"url":"{URL}{"a" * 600}"}}', "longer than 600"),
        ("vonage", "{}", "a list of actions"),
        ("vonage", '[{"action":"sing"}]', "cannot follow the NCCO action 'sing'"),
        ("vonage", '[{"action":"connect","endpoint":[]}]', "one endpoint"),
        ("vonage", ncco('{"type":"sip"}'), "not a websocket"),
        ("vonage", ncco(f'{{"type":"websocket","uri":"{URL}"}}'), "not audio/l16;rate=16000"),
        ("vonage", ncco(f'{{{SOCKET},"headers":{{"a":"{"b" * 512}"}}}}'), "longer than 512"),
    ],
)  # fmt: skip
def test_refuses_answers_that_the_provider_refuses(provider: str, answer: str, reason: str) -> None:
    with pytest.raises(AnswerRefused) as refused:
        PHONES[provider].signaling().read_answer(answer)
    assert f"{provider.capitalize()} would refuse" in refused.value.message
    assert reason in refused.value.message

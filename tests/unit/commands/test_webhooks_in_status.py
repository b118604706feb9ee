"""`voicecore status` says what to type at telephone providers."""

from __future__ import annotations

import re

from voicecore.catalog.phones import PHONES
from voicecore.commands.status import lines_of_here, phones_document

URL = "https://phone.example"


def test_what_to_type_at_telephone_providers() -> None:
    phones = tuple(PHONES)
    lines = ["".join(span.text for span in line) for line in lines_of_here("line", phones, URL)]
    text = "\n".join(lines)
    assert re.search(r"A call comes in: Webhook +https://phone.example/phone/twilio  POST", text)
    assert re.search(r"Event URL +https://phone.example/phone/vonage/status  POST", text)
    assert "Use signed webhooks" in text
    assert "https://<api key>:<api token>@phone.example/phone/exotel" in text


def test_the_same_for_programs() -> None:
    phones = tuple(PHONES)
    told = phones_document(phones, f"{URL}/")["phones"]  # as CloudFormation has it
    assert list(told) == list(phones)
    assert told["plivo"]["fields"][1] == {
        "field": "Hangup URL",
        "url": f"{URL}/phone/plivo/status",
        "method": "POST",
    }
    assert phones_document(phones, "") == phones_document((), URL) == {}

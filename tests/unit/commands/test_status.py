"""`voicecore status` shows the settings at phone providers."""

from __future__ import annotations

import re

from voicecore.catalog.phones import PHONES
from voicecore.commands.status import phones_document, public_url_lines

URL = "https://phone.example"


def test_settings_at_telephone_providers_are_shown() -> None:
    phones = tuple(PHONES)
    lines = ["".join(span.text for span in line) for line in public_url_lines("line", phones, URL)]
    text = "\n".join(lines)
    assert re.search(r"A call comes in: Webhook +https://phone.example/phone/twilio  POST", text)
    assert re.search(r"Event URL +https://phone.example/phone/vonage/status  POST", text)
    assert "Use signed webhooks" in text
    assert "https://<api key>:<api token>@phone.example/phone/exotel" in text


def test_settings_at_telephone_providers_are_in_the_json_document() -> None:
    phones = tuple(PHONES)
    document = phones_document(phones, f"{URL}/")["phones"]  # CloudFormation's URLs end in /
    assert list(document) == list(phones)
    assert document["plivo"]["fields"][1] == {
        "field": "Hangup URL",
        "url": f"{URL}/phone/plivo/status",
        "method": "POST",
    }
    assert phones_document(phones, "") == phones_document((), URL) == {}

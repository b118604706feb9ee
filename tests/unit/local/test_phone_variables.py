"""Variables of phone providers that `voicecore dev` gives the session server."""

import pytest

from voicecore.catalog.phones.accounts import SIGNING_KEY, phone_accounts
from voicecore.local.environments import phone_variables

OWN = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}
COTURN = {"COTURN_URLS": "turn:198.51.100.1:3478", "COTURN_SECRET": "s"}


@pytest.mark.parametrize(
    ("env", "sources"),
    [
        ({}, "none"),
        (COTURN, "coturn"),
        (OWN, "twilio"),
        (OWN | {"TURN_SOURCE": "none"}, "none"),
        (OWN | COTURN | {"TURN_SOURCE": "coturn, twilio"}, "coturn twilio"),
    ],
)
def test_made_up_account_is_no_turn_source(env: dict[str, str], sources: str) -> None:
    phones = phone_accounts(["twilio", "telnyx"], env)
    added = phone_variables(phones, 3600, "http://127.0.0.1:7860", env)
    assert added["TWILIO_ACCOUNT_SID"].startswith("AC")
    assert added["TURN_SOURCE"] == sources
    assert SIGNING_KEY not in added


def test_project_without_phones_keeps_its_turn_sources() -> None:
    assert phone_variables({}, 3600, "http://127.0.0.1:7860", COTURN) == {}

"""Accounts at phone providers, made up by `voicecore dev` where a project has none."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import SIGNING_KEY, missing_variables, phone_accounts


def test_missing_variables_are_made_up_and_known_ones_stay() -> None:
    env = {"TWILIO_AUTH_TOKEN": "mine", "PHONE_NUMBERS": "+12025550100", "OTHER": "not of it"}
    accounts = phone_accounts(PHONES, env)
    assert list(accounts) == list(PHONES)
    for name, phone in PHONES.items():
        assert {*phone.secrets, *phone.calling, "PHONE_NUMBERS"} <= accounts[name].keys()
        assert "OTHER" not in accounts[name]
    assert accounts["twilio"]["TWILIO_AUTH_TOKEN"] == "mine"
    telnyx, vonage = accounts["telnyx"], accounts["vonage"]
    seed = base64.b64decode(telnyx[SIGNING_KEY])
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert telnyx["TELNYX_PUBLIC_KEY"] == base64.b64encode(public).decode()
    load_pem_private_key(vonage["VONAGE_PRIVATE_KEY"].encode(), None)


def test_real_public_key_has_no_signing_key() -> None:
    env = {"TELNYX_PUBLIC_KEY": "real", "TELNYX_API_KEY": "real"}
    assert SIGNING_KEY not in phone_accounts(["telnyx"], env)["telnyx"]


@pytest.mark.parametrize(
    ("env", "to_call", "expected"),
    [
        ({}, False, ["EXOTEL_ACCOUNT_SID", "EXOTEL_API_KEY", "EXOTEL_API_TOKEN"]),
        ({"EXOTEL_ACCOUNT_SID": "a", "EXOTEL_API_KEY": "b", "EXOTEL_API_TOKEN": "c"}, False, []),
        (
            {"EXOTEL_ACCOUNT_SID": "a", "EXOTEL_API_KEY": "b", "EXOTEL_API_TOKEN": ""},
            True,
            ["EXOTEL_API_TOKEN", "EXOTEL_APP_ID", "PHONE_NUMBERS"],
        ),
        ({"EXOTEL_API_URL": "http://127.0.0.1"}, True, []),
    ],
)
def test_tells_which_variables_a_real_account_lacks(
    env: dict[str, str], to_call: bool, expected: list[str]
) -> None:
    assert missing_variables("exotel", env, to_call=to_call) == expected

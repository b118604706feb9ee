"""`voicecore dev` makes up what a project lacks of a telephone provider's account."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voicecore.catalog.phones import PHONES
from voicecore.local.fake_phone_accounts import SIGNING_KEY, phones_of


def test_what_is_missing_is_made_up_and_what_there_is_stays() -> None:
    env = {"TWILIO_AUTH_TOKEN": "mine", "PHONE_NUMBERS": "+12025550100", "OTHER": "not of it"}
    phones = phones_of(PHONES, env, Path(sys.executable))
    assert list(phones) == list(PHONES)
    for name, phone in PHONES.items():
        assert {*phone.secrets, *phone.calling, "PHONE_NUMBERS"} <= phones[name].keys()
        assert "OTHER" not in phones[name]
    assert phones["twilio"]["TWILIO_AUTH_TOKEN"] == "mine"
    telnyx, vonage = phones["telnyx"], phones["vonage"]
    seed = base64.b64decode(telnyx[SIGNING_KEY])
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert telnyx["TELNYX_PUBLIC_KEY"] == base64.b64encode(public).decode()
    load_pem_private_key(vonage["VONAGE_PRIVATE_KEY"].encode(), None)


def test_a_true_public_key_comes_without_what_signs() -> None:
    env = {"TELNYX_PUBLIC_KEY": "true", "TELNYX_API_KEY": "true"}
    assert SIGNING_KEY not in phones_of(["telnyx"], env, Path(sys.executable))["telnyx"]

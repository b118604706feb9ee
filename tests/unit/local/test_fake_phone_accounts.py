"""`voicecore dev` generates the account data that a project lacks for a telephone provider."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voicecore.catalog.phones import PHONES
from voicecore.local.fake_phone_accounts import SIGNING_KEY, phone_accounts


def test_missing_variables_are_generated_and_existing_ones_kept() -> None:
    env = {"TWILIO_AUTH_TOKEN": "mine", "PHONE_NUMBERS": "+12025550100", "OTHER": "unrelated"}
    phones = phone_accounts(PHONES, env, Path(sys.executable))
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


def test_real_public_key_comes_without_a_signing_key() -> None:
    env = {"TELNYX_PUBLIC_KEY": "real", "TELNYX_API_KEY": "real"}
    assert SIGNING_KEY not in phone_accounts(["telnyx"], env, Path(sys.executable))["telnyx"]

"""Makes up an account at Telnyx."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping

from voicecore.catalog.phones.accounts import SIGNING_KEY


def complete(known: Mapping[str, str]) -> dict[str, str]:
    """Return `known`, with made-up values for what is missing.

    If a public key is set it is Telnyx's own, and no key can be made up to sign with.
    """
    keys = {} if "TELNYX_PUBLIC_KEY" in known else _key_pair()
    return {
        "TELNYX_API_KEY": f"KEY{secrets.token_hex(16).upper()}",
        "TELNYX_CONNECTION_ID": str(secrets.randbelow(10**18) + 10**18),
        **keys,
        **known,
    }


def _key_pair() -> dict[str, str]:
    # Imported here: only a command that takes calls needs it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    return {
        "TELNYX_PUBLIC_KEY": base64.b64encode(public).decode(),
        SIGNING_KEY: base64.b64encode(key.private_bytes_raw()).decode(),
    }

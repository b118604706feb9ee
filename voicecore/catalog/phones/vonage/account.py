"""Makes up an account at Vonage."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping


def complete(known: Mapping[str, str]) -> dict[str, str]:
    """Return `known`, with made-up values for what is missing."""
    key = {} if "VONAGE_PRIVATE_KEY" in known else {"VONAGE_PRIVATE_KEY": _private_key()}
    return {
        "VONAGE_APPLICATION_ID": str(uuid.uuid4()),
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(36),
        **key,
        **known,
    }


def _private_key() -> str:
    """Return a new RSA key of 2048 bits, as PEM."""
    # Imported here: only a command that takes calls needs it.
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

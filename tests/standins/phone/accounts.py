"""Accounts at the providers: made up anew, in the form that each gives them."""

from __future__ import annotations

import base64
import secrets
import uuid

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

NUMBER = "+12025550100"
"""The number that each account has; nobody has it in truth."""


def account(provider: str) -> dict[str, str]:
    """The variables of a new account, and under SIGNING_KEY what only the provider knows."""
    return {"PHONE_NUMBERS": NUMBER, **_ACCOUNTS[provider]()}


def _twilio() -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}",
        "TWILIO_AUTH_TOKEN": secrets.token_hex(16),
    }


def _telnyx() -> dict[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return {
        "TELNYX_API_KEY": f"KEY{secrets.token_hex(16).upper()}",
        "TELNYX_PUBLIC_KEY": base64.b64encode(public).decode(),
        "TELNYX_CONNECTION_ID": str(secrets.randbelow(10**18) + 10**18),
        "SIGNING_KEY": base64.b64encode(seed).decode(),
    }


def _plivo() -> dict[str, str]:
    return {
        "PLIVO_AUTH_ID": f"MA{secrets.token_hex(9).upper()}",
        "PLIVO_AUTH_TOKEN": secrets.token_urlsafe(30),
    }


def _exotel() -> dict[str, str]:
    return {
        "EXOTEL_ACCOUNT_SID": f"voicecore{secrets.randbelow(1000)}",
        "EXOTEL_API_KEY": secrets.token_hex(24),
        "EXOTEL_API_TOKEN": secrets.token_hex(24),
        "EXOTEL_APP_ID": str(secrets.randbelow(10**6)),
    }


def _vonage() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "VONAGE_APPLICATION_ID": str(uuid.uuid4()),
        "VONAGE_PRIVATE_KEY": pem.decode(),
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(36),
    }


_ACCOUNTS = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "exotel": _exotel,
    "vonage": _vonage,
}

"""Owns the credentials of telephone accounts that exist only on this machine."""

from __future__ import annotations

import json
import secrets
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from voicecore.catalog.phones import PHONES

SIGNING_KEY = "SIGNING_KEY"
"""The key with which a provider signs. Its customers never see it: with it, a program can call as
the provider."""

_KEYS = """
import base64, json
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
ed, text = ed25519.Ed25519PrivateKey.generate(), lambda data: base64.b64encode(data).decode()
pem = rsa.generate_private_key(65537, 2048).private_bytes(
    s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
print(json.dumps({"seed": text(ed.private_bytes_raw()), "pem": pem.decode(),
                  "public": text(ed.public_key().public_bytes_raw())}))
"""


def phone_accounts(
    providers: Iterable[str], env: Mapping[str, str], python: Path
) -> dict[str, dict[str, str]]:
    """Return the variables of each provider: those in `env`, and generated ones for the rest.

    `python` is the session server's interpreter, which can create keys. Raises OSError and
    CalledProcessError.
    """
    return {name: _variables(name, env, python) for name in providers}


def _variables(provider: str, env: Mapping[str, str], python: Path) -> dict[str, str]:
    phone = PHONES[provider]
    names = (*phone.secrets, *phone.calling, f"{provider.upper()}_API_URL", "PHONE_NUMBERS")
    found = {name: env[name] for name in (*names, "PUBLIC_URL") if env.get(name)}
    missing = [name for name in (*phone.secrets, *phone.calling) if name not in found]
    for name in missing:
        found[name] = _generated(name)
    if {"TELNYX_PUBLIC_KEY", "VONAGE_PRIVATE_KEY"} & set(missing):
        keys = _keys(python)
        if provider == "telnyx":
            found |= {"TELNYX_PUBLIC_KEY": keys["public"], SIGNING_KEY: keys["seed"]}
        else:
            found["VONAGE_PRIVATE_KEY"] = keys["pem"]
    return found


def _generated(name: str) -> str:
    """Return a random value in the right format; the real provider refuses it."""
    if name == "TWILIO_ACCOUNT_SID":
        return f"AC{secrets.token_hex(16)}"
    if name.endswith(("_ID", "_SID")):
        return str(uuid.uuid4())
    return secrets.token_hex(16)


def _keys(python: Path) -> dict[str, str]:
    done = subprocess.run([python, "-c", _KEYS], capture_output=True, check=True)
    return json.loads(done.stdout)

"""A telephone provider's side on this machine: credentials of accounts that nobody has."""

from __future__ import annotations

import json
import secrets
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from voicecore.catalog.phones import PHONES

SIGNING_KEY = "SIGNING_KEY"
"""What a provider signs with that its customers never see: who has it can call as the provider."""

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


def phones_of(
    providers: Iterable[str], env: Mapping[str, str], python: Path
) -> dict[str, dict[str, str]]:
    """Each provider's variables: those of `env`, and what it lacks of them made up.

    `python` is the session server's own, which has what makes keys. Raises OSError and
    CalledProcessError.
    """
    return {name: _variables(name, env, python) for name in providers}


def _variables(provider: str, env: Mapping[str, str], python: Path) -> dict[str, str]:
    phone = PHONES[provider]
    names = (*phone.secrets, *phone.calling, f"{provider.upper()}_API_URL", "PHONE_NUMBERS")
    found = {name: env[name] for name in (*names, "PUBLIC_URL") if env.get(name)}
    missing = [name for name in (*phone.secrets, *phone.calling) if name not in found]
    for name in missing:
        found[name] = _made_up(name)
    if {"TELNYX_PUBLIC_KEY", "VONAGE_PRIVATE_KEY"} & set(missing):
        made = _keys(python)
        if provider == "telnyx":
            found |= {"TELNYX_PUBLIC_KEY": made["public"], SIGNING_KEY: made["seed"]}
        else:
            found["VONAGE_PRIVATE_KEY"] = made["pem"]
    return found


def _made_up(name: str) -> str:
    """As such a thing looks; what is sent to the true provider by it is refused there."""
    if name == "TWILIO_ACCOUNT_SID":
        return f"AC{secrets.token_hex(16)}"
    if name.endswith(("_ID", "_SID")):
        return str(uuid.uuid4())
    return secrets.token_hex(16)


def _keys(python: Path) -> dict[str, str]:
    done = subprocess.run([python, "-c", _KEYS], capture_output=True, check=True)
    return json.loads(done.stdout)

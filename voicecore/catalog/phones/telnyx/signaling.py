"""Owns Telnyx's signaling: its webhooks, their signature, and TeXML."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterator
from xml.etree import ElementTree

from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.catalog.phones.answers import (
    BadAnswer,
    Connect,
    Step,
    common_steps,
    media_url,
    only_child,
    refuse_start,
    verbs_in,
)
from voicecore.catalog.phones.signaling import (
    Credentials,
    Headers,
    PhoneCall,
    Signaling,
    WebhookRequest,
)
from voicecore.catalog.phones.telnyx import PHONE

_ACCOUNT = "f5586561-8ff0-4291-a51b-c7dfe4139ff9"
"""User ID in Telnyx's own examples: no variable of a server holds one."""


class TelnyxSignaling(Signaling):
    """Requests of Telnyx to a server about calls."""

    def account(self, credentials: Credentials) -> str:
        """Return the user ID of Telnyx's examples."""
        return _ACCOUNT

    def new_ids(self) -> tuple[str, str]:
        """Return a call control ID and a stream ID."""
        return f"v3:{secrets.token_urlsafe(40)}", str(uuid.uuid4())

    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the form of a webhook."""
        return {
            "AccountSid": call.account,
            "CallControlId": call.id,
            "CallSid": call.id,
            "CallSidLegacy": call.id,
            "CallStatus": status,
            "ConnectionId": "1234567890",
            "Direction": "outbound-api" if call.outbound else "inbound",
            "From": call.caller,
            "To": call.called,
        }

    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Sign `timestamp|body` with Ed25519; SIGNING_KEY is the private key's 32 bytes."""
        # Imported here: only a command that takes calls needs it.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = base64.b64decode(self.credential(credentials, SIGNING_KEY))
        timestamp = str(int(at))
        key = Ed25519PrivateKey.from_private_bytes(seed)
        signature = key.sign(f"{timestamp}|".encode() + request.body)
        return {
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
        }

    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the steps of TeXML. Raises BadAnswer."""
        for verb in verbs_in(answer):
            refuse_start(verb)
            if verb.tag == "Connect":
                yield _connect(verb)
            else:
                yield from common_steps(verb)


def _connect(verb: ElementTree.Element) -> Connect:
    stream = only_child(verb, "Stream")
    if stream.get("bidirectionalMode") != "rtp":
        raise BadAnswer('without bidirectionalMode="rtp" the caller hears nothing')
    if stream.get("bidirectionalCodec", "PCMU") != "PCMU":
        raise BadAnswer(f"the codec is {stream.get('bidirectionalCodec')}, not PCMU")
    return Connect(
        media_url(stream.get("url", "")),
        {p.get("name", ""): p.get("value", "") for p in stream.iter("Parameter")},
    )


SIGNALING = TelnyxSignaling(PHONE)

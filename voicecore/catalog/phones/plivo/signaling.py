"""Owns Plivo's signaling: its webhooks, their signature, and Plivo XML."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from xml.etree import ElementTree

from voicecore.catalog.phones.answers import (
    BadAnswer,
    Connect,
    Step,
    common_steps,
    media_url,
    verbs_in,
)
from voicecore.catalog.phones.plivo import PHONE
from voicecore.catalog.phones.signaling import (
    Credentials,
    Headers,
    PhoneCall,
    Signaling,
    WebhookRequest,
    digits,
)


class PlivoSignaling(Signaling):
    """Requests of Plivo to a server about calls."""

    signs_media = True

    def account(self, credentials: Credentials) -> str:
        """Return the auth ID. Raises MissingCredential."""
        return self.credential(credentials, "PLIVO_AUTH_ID")

    def new_ids(self) -> tuple[str, str]:
        """Return a call UUID and a stream ID."""
        return str(uuid.uuid4()), str(uuid.uuid4())

    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the form of a webhook."""
        return {
            "ALegUUID": call.id,
            "CallStatus": status,
            "CallUUID": call.id,
            "Direction": "outbound" if call.outbound else "inbound",
            "Event": "Hangup" if status == "completed" else "StartApp",
            "From": digits(call.caller),
            "ParentAuthID": call.account,
            "RequestUUID": call.id,
            "To": digits(call.called),
        }

    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Sign URL, form and a new nonce."""
        token = self.credential(credentials, "PLIVO_AUTH_TOKEN")
        return signature_v3(request, token, nonce=secrets.token_hex(16))

    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the steps of Plivo XML. Raises BadAnswer."""
        for verb in verbs_in(answer):
            if verb.tag == "Stream":
                yield _connect(verb)
            else:
                yield from common_steps(verb, speak="Speak")


def signature_v3(request: WebhookRequest, auth_token: str, nonce: str) -> Headers:
    """Return signature V3, as Plivo's own SDK computes it: HMAC-SHA256 of URL, form and nonce."""
    parts = urlsplit(request.address)
    signed = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    if query or request.sorted_form:
        signed += "?" + "&".join(f"{name}={value}" for name, value in query)
    if query and request.sorted_form:
        signed += "."
    signed += request.sorted_form
    digest = hmac.new(auth_token.encode(), f"{signed}.{nonce}".encode(), hashlib.sha256).digest()
    return {
        "X-Plivo-Signature-V3": base64.b64encode(digest).decode(),
        "X-Plivo-Signature-V3-Nonce": nonce,
    }


def _connect(verb: ElementTree.Element) -> Connect:
    if verb.get("bidirectional") != "true":
        raise BadAnswer('without bidirectional="true" the caller hears nothing')
    content = verb.get("contentType", "audio/x-mulaw;rate=8000").replace(" ", "")
    if content != "audio/x-mulaw;rate=8000":
        raise BadAnswer(f"the contentType is {content}, not audio/x-mulaw;rate=8000")
    pairs = (pair.partition("=") for pair in verb.get("extraHeaders", "").split(";") if pair)
    return Connect(
        media_url((verb.text or "").strip()),
        {name.strip(): value.strip() for name, _, value in pairs},
    )


SIGNALING = PlivoSignaling(PHONE)

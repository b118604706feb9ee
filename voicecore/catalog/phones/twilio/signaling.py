"""Owns Twilio's signaling: its webhooks, their signature, and TwiML."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.etree import ElementTree

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
from voicecore.catalog.phones.twilio import PHONE

_PARAMETER_CHARACTERS = 500
"""Limit of a <Parameter>, name and value together."""


class TwilioSignaling(Signaling):
    """Requests of Twilio to a server about calls."""

    signs_media = True

    def account(self, credentials: Credentials) -> str:
        """Return the account SID. Raises MissingCredential."""
        return self.credential(credentials, "TWILIO_ACCOUNT_SID")

    def new_ids(self) -> tuple[str, str]:
        """Return a call SID and a stream SID."""
        return f"CA{secrets.token_hex(16)}", f"MZ{secrets.token_hex(16)}"

    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the form of a webhook."""
        return {
            "AccountSid": call.account,
            "ApiVersion": "2010-04-01",
            "CallSid": call.id,
            "CallStatus": status,
            "Called": call.called,
            "Caller": call.caller,
            "Direction": "outbound-api" if call.outbound else "inbound",
            "From": call.caller,
            "To": call.called,
        }

    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Sign URL and form, sorted by name, with HMAC-SHA1 (Twilio "Webhooks security")."""
        token = self.credential(credentials, "TWILIO_AUTH_TOKEN")
        signed = request.address + request.sorted_form
        digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(digest).decode()}

    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the steps of TwiML. Raises BadAnswer."""
        for verb in verbs_in(answer):
            refuse_start(verb)
            if verb.tag == "Connect":
                yield _connect(verb)
            else:
                yield from common_steps(verb)


def _connect(verb: ElementTree.Element) -> Connect:
    stream = only_child(verb, "Stream")
    url = stream.get("url", "")
    if urlsplit(url).query:
        # Twilio error 31922.
        raise BadAnswer("the url of <Stream> has a query string: send <Parameter>s instead (31922)")
    parameters: dict[str, str] = {}
    for parameter in stream:
        if parameter.tag != "Parameter":
            raise BadAnswer(f"<Stream> holds <{parameter.tag}>")
        name, value = parameter.get("name", ""), parameter.get("value", "")
        if len(name) + len(value) > _PARAMETER_CHARACTERS:
            raise BadAnswer(
                f"the <Parameter> {name} is longer than {_PARAMETER_CHARACTERS} characters"
            )
        parameters[name] = value
    return Connect(media_url(url), parameters)


SIGNALING = TwilioSignaling(PHONE)

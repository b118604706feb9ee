"""Owns Exotel's signaling: its webhooks, their login, and the JSON of the Voicebot applet."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from voicecore.catalog.phones.answers import BadAnswer, Connect, Step, json_in, media_url
from voicecore.catalog.phones.exotel import PHONE
from voicecore.catalog.phones.signaling import (
    Credentials,
    Headers,
    PhoneCall,
    Signaling,
    WebhookRequest,
)

_URL_CHARACTERS = 600
"""Limit of a media URL in Exotel's API."""


class ExotelSignaling(Signaling):
    """Requests of Exotel to a server about calls."""

    answer_method = "GET"

    def account(self, credentials: Credentials) -> str:
        """Return the account SID. Raises MissingCredential."""
        return self.credential(credentials, "EXOTEL_ACCOUNT_SID")

    def new_ids(self) -> tuple[str, str]:
        """Return a call SID and a stream SID."""
        return secrets.token_hex(16), secrets.token_hex(16)

    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the query or form of a webhook."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        return {
            "CallSid": call.id,
            "CallFrom": call.caller,
            "CallTo": call.called,
            "CallStatus": status,
            "Direction": "outbound-dial" if call.outbound else "incoming",
            "Created": now,
            "From": call.caller,
            "To": call.called,
            "CurrentTime": now,
        }

    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Log in with HTTP basic authentication, as the login in the applet's URL does."""
        key = self.credential(credentials, "EXOTEL_API_KEY")
        token = self.credential(credentials, "EXOTEL_API_TOKEN")
        return {"Authorization": f"Basic {base64.b64encode(f'{key}:{token}'.encode()).decode()}"}

    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the one step of a Voicebot applet. Raises BadAnswer."""
        body = json_in(answer)
        url = cast("dict[str, Any]", body).get("url") if isinstance(body, dict) else None
        if not isinstance(url, str):
            raise BadAnswer('it is not {"url": "wss://..."}')
        if len(url) > _URL_CHARACTERS:
            raise BadAnswer(f"its URL is longer than {_URL_CHARACTERS} characters")
        yield Connect(media_url(url))


SIGNALING = ExotelSignaling(PHONE)

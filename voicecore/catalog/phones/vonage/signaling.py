"""Owns Vonage's signaling: its webhooks, their JWT, and NCCO."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, cast

from voicecore.catalog.phones.answers import (
    BadAnswer,
    Connect,
    Dial,
    HangUp,
    Say,
    Step,
    json_in,
    media_url,
)
from voicecore.catalog.phones.signaling import (
    Credentials,
    Headers,
    PhoneCall,
    Signaling,
    WebhookRequest,
    compact_json,
    digits,
)
from voicecore.catalog.phones.vonage import PHONE

_HEADER_BYTES = 512
"""Limit of an endpoint's headers, as JSON."""


class VonageSignaling(Signaling):
    """Requests of Vonage to a server about calls."""

    answer_method = "GET"
    status_as_json = True

    def account(self, credentials: Credentials) -> str:
        """Return the application ID. Raises MissingCredential."""
        return self.credential(credentials, "VONAGE_APPLICATION_ID")

    def new_ids(self) -> tuple[str, str]:
        """Return a call UUID and the UUID of its conversation."""
        return str(uuid.uuid4()), str(uuid.uuid4())

    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the query of an answer webhook, or the body of an event webhook."""
        common = {
            "from": digits(call.caller),
            "to": digits(call.called),
            "uuid": call.id,
            "conversation_uuid": f"CON-{call.stream}",
        }
        if status in ("ringing", "in-progress"):  # the answer webhook carries no status
            return {**common, "region_url": "https://api-us-3.vonage.com", "endpoint_type": "phone"}
        return {**common, "status": status, "direction": "outbound" if call.outbound else "inbound"}

    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Return a JWT (HS256) with the hash of the body, or of a GET's parameters as JSON."""
        secret = self.credential(credentials, "VONAGE_SIGNATURE_SECRET")
        claims = {
            "iat": int(at),
            "jti": str(uuid.uuid4()),
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(
                request.body or compact_json(request.fields)
            ).hexdigest(),
            "application_id": self.credential(credentials, "VONAGE_APPLICATION_ID"),
        }
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        signed = ".".join(_base64url(compact_json(part)) for part in parts)
        signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        return {"Authorization": f"Bearer {signed}.{_base64url(signature)}"}

    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the steps of an NCCO. Raises BadAnswer."""
        actions = json_in(answer)
        if not isinstance(actions, list):
            raise BadAnswer("an NCCO is a list of actions")
        if not actions:
            yield HangUp(rejected=True)
        for item in cast("list[Any]", actions):
            action = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
            match action.get("action"):
                case "connect":
                    yield _connect(action)
                case "talk":
                    yield Say(str(action.get("text", "")))
                case "stream" | "record" | "notify" | "wait":
                    pass
                case other:
                    raise BadAnswer(f"a telephone cannot follow the NCCO action {other!r}")


def _connect(action: Mapping[str, Any]) -> Connect | Dial:
    endpoints = action.get("endpoint")
    if not isinstance(endpoints, list) or len(cast("list[Any]", endpoints)) != 1:
        raise BadAnswer("a connect action must have one endpoint")
    endpoint = cast("list[dict[str, Any]]", endpoints)[0]
    if endpoint.get("type") == "phone":
        return Dial(str(endpoint.get("number", "")))
    if endpoint.get("type") != "websocket":
        raise BadAnswer(f"the endpoint is a {endpoint.get('type')!r}, not a websocket")
    if endpoint.get("content-type") != "audio/l16;rate=16000":
        raise BadAnswer(
            f"the content-type is {endpoint.get('content-type')}, not audio/l16;rate=16000"
        )
    headers = cast("dict[str, Any]", endpoint.get("headers") or {})
    if len(json.dumps(headers, separators=(",", ":"))) > _HEADER_BYTES:
        raise BadAnswer(f"the headers are longer than {_HEADER_BYTES} bytes")
    return Connect(media_url(str(endpoint.get("uri", ""))), headers)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


SIGNALING = VonageSignaling(PHONE)

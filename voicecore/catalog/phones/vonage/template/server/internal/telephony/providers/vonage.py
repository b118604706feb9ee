"""Vonage: NCCO and its WebSocket endpoint, with sound at 16 kHz.

https://developer.vonage.com/en/voice/voice-api/concepts/websockets
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import jwt

from ...settings import Reader
from ..provider import (
    AGE_SECONDS,
    Answer,
    ApiCall,
    BadStart,
    Call,
    Forged,
    Frame,
    Stream,
    Webhook,
    api_root,
    document,
    inner,
    number,
)

CONTENT_TYPE = "audio/l16;rate=16000"


@dataclass(frozen=True)
class Vonage:
    """An application of Vonage's."""

    application_id: str
    private_key: str = field(repr=False)
    signature_secret: str = field(repr=False)
    api: str = "https://api.nexmo.com"
    encoding: str = "pcm"
    rate: int = 16_000
    piece_ms: int = 20  # exactly

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """By the environment."""
        # A PEM has lines; in a .env they are often written as \n.
        key = reader.needed("VONAGE_PRIVATE_KEY").replace("\\n", "\n")
        if key and "PRIVATE KEY" not in key:
            reader.mistakes.append("VONAGE_PRIVATE_KEY is the key itself, as PEM.")
        return cls(
            reader.needed("VONAGE_APPLICATION_ID"),
            key,
            reader.needed("VONAGE_SIGNATURE_SECRET"),
            api_root(reader, "vonage", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless Vonage signed this, body and all, within AGE_SECONDS."""
        scheme, _, token = webhook.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Forged("it is not signed")
        try:
            claims = jwt.decode(
                token,
                self.signature_secret,
                ["HS256"],
                options={"require": ["iat", "jti"], "verify_aud": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise Forged("its token is none of Vonage's") from error
        if abs(now - number(claims["iat"])) > AGE_SECONDS:
            raise Forged("it is too old")
        if claims.get("application_id", self.application_id) != self.application_id:
            raise Forged("it is for another application")
        # What a GET says is hashed as JSON; where it is not hashed at all, it is signed no less.
        signed = webhook.body or json.dumps(dict(webhook.query), separators=(",", ":")).encode()
        sent = claims.get("payload_hash", "" if webhook.body else hashed(signed))
        if not hmac.compare_digest(str(sent), hashed(signed)):
            raise Forged("what it says is not what was signed")
        return str(claims["jti"])

    def check_media(self, handshake: Webhook) -> None:
        """Vonage signs no handshake."""

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        return Call(webhook.text("uuid"), webhook.text("from"), webhook.text("to"))

    def answer(self, call: Call, media_url: str) -> Answer:
        """Connect the call to this media socket, whose first message tells these headers."""
        headers = {"call_id": call.id, "from": call.caller, "to": call.called}
        endpoint = {"type": "websocket", "uri": media_url, "content-type": CONTENT_TYPE}
        return ncco({"action": "connect", "endpoint": [{**endpoint, "headers": headers}]})

    def reject(self) -> Answer:
        """Take no such call: with nothing to do, it ends."""
        return ncco()

    def dial(self, number: str) -> Answer:
        """Connect the call to a number instead."""
        return ncco({"action": "connect", "endpoint": [_phone(number)]})

    def state(self, webhook: Webhook) -> tuple[str, str]:
        """The call that a status is about, and the status."""
        return webhook.text("uuid"), webhook.text("status")

    def started(self, frame: Frame) -> Stream | None:
        """The stream that the very first message begins. Raises BadStart."""
        said = document(frame) if isinstance(frame, str) else {}
        if said.get("event") != "websocket:connected":
            raise BadStart("not `websocket:connected`")
        kind, _, rate = str(said.get("content-type")).replace(" ", "").partition(";rate=")
        encoding = "pcm" if kind == "audio/l16" else "unknown"
        return Stream("", str(said.get("call_id")), encoding, number(rate))

    def sound(self, frame: Frame) -> bytes:
        """The sound in a message: each that is no text is nothing else."""
        return frame if isinstance(frame, bytes) else b""

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound."""
        return sound

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        return json.dumps({"action": "notify", "payload": {"mark": name}})

    def passed(self, frame: Frame, name: str) -> bool:
        """Whether the mark of this name came back."""
        said = document(frame) if isinstance(frame, str) else {}
        return said.get("event") == "websocket:notify" and inner(said, "payload") == {"mark": name}

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number."""
        answer = {"answer_url": [answer_url], "answer_method": "POST"}
        body = {"to": [_phone(to)], "from": _phone(caller), **answer, "event_url": [status_url]}
        return self._call("POST", "", body)

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed."""
        return str(document["uuid"])

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        return self._call("GET", f"/{quote(call_id, safe='')}")

    def seen(self, document: dict[str, Any]) -> str:
        """That, in Vonage's word."""
        return str(document["status"])

    def hang_up(self, call_id: str) -> ApiCall:
        """End the call."""
        return self._call("PUT", f"/{quote(call_id, safe='')}", {"action": "hangup"})

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Connect the call to a number."""
        destination = {"type": "ncco", "ncco": json.loads(self.dial(number).body)}
        body = {"action": "transfer", "destination": destination}
        return self._call("PUT", f"/{quote(call_id, safe='')}", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> ApiCall:
        now = int(time.time())
        claims = {"application_id": self.application_id, "iat": now, "exp": now + 60}
        token = jwt.encode({**claims, "jti": str(uuid.uuid4())}, self.private_key, "RS256")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = b"" if body is None else json.dumps(body).encode()
        return ApiCall(method, f"{self.api}/v1/calls{path}", headers, data)


def hashed(data: bytes) -> str:
    """The hash that Vonage's tokens carry."""
    return hashlib.sha256(data).hexdigest()


def ncco(*actions: dict[str, Any]) -> Answer:
    """These actions as a document."""
    return Answer("application/json", json.dumps(actions))


def _phone(number: str) -> dict[str, str]:
    # Vonage writes numbers without a plus.
    return {"type": "phone", "number": number.removeprefix("+")}

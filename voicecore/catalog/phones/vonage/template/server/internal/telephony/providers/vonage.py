"""Vonage: NCCO and its WebSocket endpoint, with audio at 16 kHz.

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
from ..phone_audio import Format
from ..provider import (
    AGE_SECONDS,
    Answer,
    ApiCall,
    BadStart,
    Call,
    Fields,
    Forged,
    Frame,
    Signed,
    Stream,
    Webhook,
    api_root,
    document,
    format_of,
    inner,
    number,
)

CONTENT_TYPE = "audio/l16;rate=16000"


@dataclass(frozen=True)
class Vonage:
    """An application at Vonage."""

    application_id: str
    private_key: str = field(repr=False)
    signature_secret: str = field(repr=False)
    api: str = "https://api.nexmo.com"
    chunk_ms: int = 20  # exactly

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the credentials from the environment."""
        # A PEM has several lines, which a .env often writes as \n.
        key = reader.required("VONAGE_PRIVATE_KEY").replace("\\n", "\n")
        if key and "PRIVATE KEY" not in key:
            reader.mistakes.append("VONAGE_PRIVATE_KEY must be the key itself, in PEM format.")
        return cls(
            reader.required("VONAGE_APPLICATION_ID"),
            key,
            reader.required("VONAGE_SIGNATURE_SECRET"),
            api_root(reader, "vonage", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check Vonage's token, its age and the body's hash. Raises Forged."""
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
        except (jwt.InvalidTokenError, UnicodeError, RecursionError) as error:
            raise Forged(f"its token is not valid: {error}"[:120]) from error
        if abs(now - number(claims["iat"])) > AGE_SECONDS:
            raise Forged("it is too old")
        if claims.get("application_id", self.application_id) != self.application_id:
            raise Forged("it is for another application")
        signed, fields = content(webhook)
        if not hmac.compare_digest(str(claims.get("payload_hash")).encode(), hashed(signed)):
            raise Forged("its content is not what was signed")
        return Signed(fields, str(claims["jti"]).encode())

    def check_media(self, handshake: Webhook) -> None:
        """Accept any handshake: Vonage does not sign it."""

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        return Call(fields.get("uuid", ""), fields.get("from", ""), fields.get("to", ""))

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the answer that connects the call; the first message repeats these headers."""
        headers = {"call_id": call.id, "from": call.caller, "to": call.called}
        endpoint = {"type": "websocket", "uri": media_url, "content-type": CONTENT_TYPE}
        return ncco({"action": "connect", "endpoint": [{**endpoint, "headers": headers}]})

    def reject_answer(self) -> Answer:
        """Return no actions, which ends the call."""
        return ncco()

    def dial_answer(self, number: str) -> Answer:
        """Return the answer that connects the call to a number."""
        return ncco({"action": "connect", "endpoint": [_phone(number)]})

    def call_status(self, fields: Fields) -> tuple[str, str]:
        """Return the call's ID and its status."""
        return fields.get("uuid", ""), fields.get("status", "")

    def stream_start(self, frame: Frame) -> Stream | None:
        """Return the stream of the first message. Raises BadStart."""
        message = document(frame) if isinstance(frame, str) else {}
        if message.get("event") != "websocket:connected":
            raise BadStart("not `websocket:connected`")
        kind, _, rate = str(message.get("content-type")).replace(" ", "").partition(";rate=")
        heard = format_of(kind, rate, {"audio/l16": "pcm"})
        played = heard if heard.is_known else Format("pcm", 16_000)
        return Stream("", str(message.get("call_id")), heard, played)

    def audio_of(self, frame: Frame) -> bytes:
        """Return the audio of a message: binary messages are audio."""
        return frame if isinstance(frame, bytes) else b""

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this audio."""
        return audio

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that comes back when all audio before it was played."""
        return json.dumps({"action": "notify", "payload": {"mark": name}})

    def is_mark(self, frame: Frame, name: str) -> bool:
        """Return True if the message is the mark with this name."""
        message = document(frame) if isinstance(frame, str) else {}
        return message.get("event") == "websocket:notify" and inner(message, "payload") == {
            "mark": name
        }

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number."""
        answer = {"answer_url": [answer_url], "answer_method": "POST"}
        body = {"to": [_phone(to)], "from": _phone(caller), **answer, "event_url": [status_url]}
        return self._call("POST", "", body)

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call."""
        return str(document["uuid"])

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        return self._call("GET", f"/{quote(call_id, safe='')}")

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status from the API's answer."""
        return str(document["status"])

    def hang_up_request(self, call_id: str) -> ApiCall:
        """Return the request that ends the call."""
        return self._call("PUT", f"/{quote(call_id, safe='')}", {"action": "hangup"})

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Return the request that transfers the call to a number."""
        destination = {"type": "ncco", "ncco": json.loads(self.dial_answer(number).body)}
        body = {"action": "transfer", "destination": destination}
        return self._call("PUT", f"/{quote(call_id, safe='')}", body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> ApiCall:
        now = int(time.time())
        claims = {"application_id": self.application_id, "iat": now, "exp": now + 60}
        token = jwt.encode({**claims, "jti": str(uuid.uuid4())}, self.private_key, "RS256")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = b"" if body is None else json.dumps(body).encode()
        return ApiCall(method, f"{self.api}/v1/calls{path}", headers, data)


def content(webhook: Webhook) -> tuple[bytes, Fields]:
    """Return the bytes that Vonage hashes, and the fields in them.

    They are the body of a POST, and the parameters of a GET as JSON:
    https://api.support.vonage.com/hc/en-us/articles/19033783342876
    """
    if webhook.method == "POST":
        found = document(webhook.body).items()
        return webhook.body, {name: str(value) for name, value in found if value is not None}
    fields = dict(webhook.query)
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    return text.encode(), fields


def hashed(data: bytes) -> bytes:
    """Return the hash that Vonage's tokens contain."""
    return hashlib.sha256(data).hexdigest().encode()


def ncco(*actions: dict[str, Any]) -> Answer:
    """Return these actions as an NCCO document."""
    return Answer("application/json", json.dumps(actions))


def _phone(number: str) -> dict[str, str]:
    # Vonage writes numbers without a plus.
    return {"type": "phone", "number": number.removeprefix("+")}

"""Plivo: Plivo XML and audio streams.

https://www.plivo.com/docs/voice/audio-streaming
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

from ...settings import Reader
from ..phone_audio import Format
from ..provider import (
    Answer,
    ApiCall,
    BadStart,
    Call,
    Fields,
    Forged,
    Frame,
    JsonFrames,
    Signed,
    Stream,
    Webhook,
    api_root,
    basic,
    document,
    format_of,
    inner,
    require_names,
    xml,
)

ENCODINGS = {"audio/x-mulaw": "ulaw"}
PLAYED = Format("ulaw", 8000)


@dataclass(frozen=True)
class Plivo(JsonFrames):
    """An account at Plivo."""

    auth_id: str
    auth_token: str
    api: str = "https://api.plivo.com"

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the credentials from the environment."""
        return cls(
            reader.required("PLIVO_AUTH_ID"),
            reader.required("PLIVO_AUTH_TOKEN"),
            api_root(reader, "plivo", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check Plivo's signature. Raises Forged."""
        nonce = webhook.headers.get("x-plivo-signature-v3-nonce", "")
        sent = webhook.headers.get("x-plivo-signature-v3", "")
        right = signature(webhook.url, webhook.form, nonce, self.auth_token)
        if not is_signed(sent, right, nonce):
            raise Forged("its X-Plivo-Signature-V3 is wrong" if sent else "it is not signed")
        require_names(webhook.parameters, "CallStatus", "CallUUID", "From", "To")
        return Signed(webhook.parameters, base64.b64decode(right))

    def check_media(self, handshake: Webhook) -> None:
        """Raise Forged if the handshake has a wrong signature; it may have none."""
        nonce = handshake.headers.get("x-plivo-signature-v3-nonce", "")
        sent = handshake.headers.get("x-plivo-signature-v3", "")
        # Plivo's own library signs only URLs that begin with http.
        urls = (handshake.url, handshake.url.replace("ws", "http", 1))
        rights = (signature(url, (), nonce, self.auth_token) for url in urls)
        if sent and not any(is_signed(sent, right, nonce) for right in rights):
            raise Forged("its X-Plivo-Signature-V3 is wrong")

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        return Call(fields.get("CallUUID", ""), fields.get("From", ""), fields.get("To", ""))

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the answer that connects the call to this media socket."""
        settings = 'bidirectional="true" keepCallAlive="true"'
        kind = 'contentType="audio/x-mulaw;rate=8000"'
        return xml(f"<Stream {settings} {kind}>{escape(media_url)}</Stream>")

    def reject_answer(self) -> Answer:
        """Return the answer that rejects the call."""
        return xml('<Hangup reason="rejected"/>')

    def dial_answer(self, number: str) -> Answer:
        """Return the answer that connects the call to a number."""
        return xml(f"<Dial><Number>{escape(number)}</Number></Dial>")

    def call_status(self, fields: Fields) -> tuple[str, str]:
        """Return the call's ID and its status."""
        return fields.get("CallUUID", ""), fields.get("CallStatus", "")

    def stream_start(self, frame: Frame) -> Stream | None:
        """Return the stream of `start`, the first message. Raises BadStart."""
        message = document(frame)
        if message.get("event") != "start":
            raise BadStart("not `start`")
        start = inner(message, "start")
        format = inner(start, "mediaFormat")
        heard = format_of(format.get("encoding"), format.get("sampleRate"), ENCODINGS)
        return Stream(str(start.get("streamId")), str(start.get("callId")), heard, PLAYED)

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this audio."""
        payload = base64.b64encode(audio).decode()
        media = {"contentType": "audio/x-mulaw", "sampleRate": PLAYED.rate, "payload": payload}
        return json.dumps({"event": "playAudio", "streamId": stream.id, "media": media})

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that comes back when all audio before it was played."""
        return json.dumps({"event": "checkpoint", "streamId": stream.id, "name": name})

    def is_mark(self, frame: Frame, name: str) -> bool:
        """Return True if the message is the mark with this name."""
        message = document(frame)
        return message.get("event") == "playedStream" and message.get("name") == name

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number."""
        urls = {"answer_url": answer_url, "answer_method": "POST", "hangup_url": status_url}
        return self._call("POST", "", {"from": caller, "to": to, **urls})

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call, which is the ID of its request."""
        return str(document["request_uuid"])

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        return self._call("GET", f"{quote(call_id, safe='')}/?status=live")

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status from the API's answer."""
        return str(document["call_status"])

    def hang_up_request(self, call_id: str) -> ApiCall:
        """Return the request that ends the call."""
        return self._call("DELETE", f"{quote(call_id, safe='')}/")

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Return the request that transfers the call: Plivo asks `dial_url` for the number."""
        body = {"legs": "aleg", "aleg_url": dial_url, "aleg_method": "POST"}
        return self._call("POST", f"{quote(call_id, safe='')}/", body)

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> ApiCall:
        url = f"{self.api}/v1/Account/{self.auth_id}/Call/{path}"
        headers = {"Authorization": basic(self.auth_id, self.auth_token)}
        if body is None:
            return ApiCall(method, url, headers)
        headers["Content-Type"] = "application/json"
        return ApiCall(method, url, headers, json.dumps(body).encode())


def signature(url: str, form: Iterable[tuple[str, str]], nonce: str, auth_token: str) -> str:
    """Return Plivo's signature of a request, version 3 (as in the SDK plivo-python)."""
    parts = urlsplit(url)
    query = sorted(parse_qsl(parts.query, keep_blank_values=True))
    fields = "".join(name + value for name, value in sorted(form))
    text = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if query or fields:
        text += "?" + "&".join(f"{name}={value}" for name, value in query)
    if query and fields:
        text += "."
    digest = hmac.digest(auth_token.encode(), f"{text}{fields}.{nonce}".encode(), "sha256")
    return base64.b64encode(digest).decode()


def is_signed(sent: str, right: str, nonce: str) -> bool:
    """Return True if one of the sent signatures is the right one, which has a nonce."""
    return bool(nonce) and any(
        hmac.compare_digest(one.strip().encode(), right.encode()) for one in sent.split(",")
    )

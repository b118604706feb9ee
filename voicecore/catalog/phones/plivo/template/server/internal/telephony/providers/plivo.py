"""Plivo: its XML and audio streams.

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
from ..provider import (
    Answer,
    ApiCall,
    BadStart,
    Call,
    Forged,
    Frame,
    JsonFrames,
    Stream,
    Webhook,
    api_root,
    basic,
    document,
    inner,
    number,
    xml,
)


@dataclass(frozen=True)
class Plivo(JsonFrames):
    """An account of Plivo's."""

    auth_id: str
    auth_token: str
    api: str = "https://api.plivo.com"
    encoding: str = "ulaw"
    rate: int = 8000

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """By the environment."""
        return cls(
            reader.needed("PLIVO_AUTH_ID"),
            reader.needed("PLIVO_AUTH_TOKEN"),
            api_root(reader, "plivo", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless Plivo signed this."""
        nonce = webhook.headers.get("x-plivo-signature-v3-nonce", "")
        sent = webhook.headers.get("x-plivo-signature-v3", "")
        form = webhook.form if webhook.method == "POST" else ()
        if not is_signed(sent, webhook.url, form, nonce, self.auth_token):
            raise Forged("its X-Plivo-Signature-V3 is wrong" if sent else "it is not signed")
        return nonce

    def check_media(self, handshake: Webhook) -> None:
        """Raise Forged if the media socket's handshake is signed, but wrongly."""
        nonce = handshake.headers.get("x-plivo-signature-v3-nonce", "")
        sent = handshake.headers.get("x-plivo-signature-v3", "")
        # Plivo's library signs addresses that begin with http alone.
        urls = (handshake.url, handshake.url.replace("ws", "http", 1))
        if sent and not any(is_signed(sent, url, (), nonce, self.auth_token) for url in urls):
            raise Forged("its X-Plivo-Signature-V3 is wrong")

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        return Call(webhook.text("CallUUID"), webhook.text("From"), webhook.text("To"))

    def answer(self, call: Call, media_url: str) -> Answer:
        """Connect the call to this media socket."""
        settings = 'bidirectional="true" keepCallAlive="true"'
        kind = 'contentType="audio/x-mulaw;rate=8000"'
        return xml(f"<Stream {settings} {kind}>{escape(media_url)}</Stream>")

    def reject(self) -> Answer:
        """Take no such call."""
        return xml('<Hangup reason="rejected"/>')

    def dial(self, number: str) -> Answer:
        """Connect the call to a number instead."""
        return xml(f"<Dial><Number>{escape(number)}</Number></Dial>")

    def state(self, webhook: Webhook) -> tuple[str, str]:
        """The call that a status is about, and the status."""
        return webhook.text("CallUUID"), webhook.text("CallStatus")

    def started(self, frame: Frame) -> Stream | None:
        """The stream that `start` begins, the very first message. Raises BadStart."""
        said = document(frame)
        if said.get("event") != "start":
            raise BadStart("not `start`")
        start = inner(said, "start")
        format = inner(start, "mediaFormat")
        return Stream(
            str(start.get("streamId")),
            str(start.get("callId")),
            "ulaw" if format.get("encoding") == "audio/x-mulaw" else "unknown",
            number(format.get("sampleRate")),
        )

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound."""
        payload = base64.b64encode(sound).decode()
        media = {"contentType": "audio/x-mulaw", "sampleRate": self.rate, "payload": payload}
        return json.dumps({"event": "playAudio", "streamId": stream.id, "media": media})

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        return json.dumps({"event": "checkpoint", "streamId": stream.id, "name": name})

    def passed(self, frame: Frame, name: str) -> bool:
        """Whether the mark of this name came back."""
        said = document(frame)
        return said.get("event") == "playedStream" and said.get("name") == name

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number."""
        urls = {"answer_url": answer_url, "answer_method": "POST", "hangup_url": status_url}
        return self._call("POST", "", {"from": caller, "to": to, **urls})

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed: that of the request for it."""
        return str(document["request_uuid"])

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        return self._call("GET", f"{quote(call_id, safe='')}/?status=live")

    def seen(self, document: dict[str, Any]) -> str:
        """That, in Plivo's word."""
        return str(document["call_status"])

    def hang_up(self, call_id: str) -> ApiCall:
        """End the call."""
        return self._call("DELETE", f"{quote(call_id, safe='')}/")

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Connect the call to a number: Plivo asks `dial_url` how."""
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
    """Plivo's signature of a request, of its version 3 (as the SDK plivo-python makes it)."""
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


def is_signed(
    sent: str, url: str, form: Iterable[tuple[str, str]], nonce: str, auth_token: str
) -> bool:
    """Whether one of the signatures that were sent is Plivo's."""
    right = signature(url, form, nonce, auth_token).encode()
    return bool(nonce) and any(
        hmac.compare_digest(one.strip().encode(), right) for one in sent.split(",")
    )

"""Telnyx: TeXML and media streaming, both ways by RTP.

https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...api_errors import ApiError
from ...settings import Reader
from ..provider import (
    AGE_SECONDS,
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
    document,
    inner,
    number,
    xml,
)


@dataclass(frozen=True)
class Telnyx(JsonFrames):
    """An account of Telnyx's; `connection_id` is that of its TeXML application."""

    api_key: str
    public_key: str
    connection_id: str = ""
    api: str = "https://api.telnyx.com"
    encoding: str = "ulaw"
    rate: int = 8000

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """By the environment."""
        key = reader.needed("TELNYX_PUBLIC_KEY")
        if key and not _public_key(key):
            reader.mistakes.append("TELNYX_PUBLIC_KEY is 32 bytes in base64, as the portal shows.")
        return cls(
            reader.needed("TELNYX_API_KEY"),
            key,
            reader.text("TELNYX_CONNECTION_ID"),
            api_root(reader, "telnyx", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless Telnyx signed this, within AGE_SECONDS."""
        time = webhook.headers.get("telnyx-timestamp", "")
        sent = webhook.headers.get("telnyx-signature-ed25519", "")
        if not is_signed(sent, time, webhook.body, self.public_key):
            raise Forged("its telnyx-signature-ed25519 is wrong" if sent else "it is not signed")
        if abs(now - number(time)) > AGE_SECONDS:
            raise Forged("it is too old")
        return sent

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        return Call(webhook.text("CallSid"), webhook.text("From"), webhook.text("To"))

    def answer(self, call: Call, media_url: str) -> Answer:
        """Connect the call to this media socket; without rtp the caller would hear nothing."""
        url = quoteattr(media_url)
        codec = 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
        return xml(f"<Connect><Stream url={url} {codec}/></Connect>")

    def reject(self) -> Answer:
        """Take no such call."""
        return xml("<Reject/>")

    def dial(self, number: str) -> Answer:
        """Connect the call to a number instead."""
        return xml(f"<Dial>{escape(number)}</Dial>")

    def state(self, webhook: Webhook) -> tuple[str, str]:
        """The call that a status is about, and the status."""
        return webhook.text("CallSid"), webhook.text("CallStatus")

    def started(self, frame: Frame) -> Stream | None:
        """The stream that `start` begins, after `connected`. Raises BadStart."""
        said = document(frame)
        if said.get("event") == "connected":
            return None
        if said.get("event") != "start":
            raise BadStart("neither `connected` nor `start`")
        start = inner(said, "start")
        format = inner(start, "media_format")
        return Stream(
            str(said.get("stream_id")),
            str(start.get("call_control_id")),
            "ulaw" if format.get("encoding") == "PCMU" else "unknown",
            number(format.get("sample_rate")),
        )

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound."""
        payload = base64.b64encode(sound).decode()
        return json.dumps({"event": "media", "media": {"payload": payload}})

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        return json.dumps({"event": "mark", "mark": {"name": name}})

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number. Raises ApiError."""
        if not self.connection_id:
            raise ApiError(422, "no_connection", "To call, the server needs TELNYX_CONNECTION_ID.")
        path = f"texml/calls/{quote(self.connection_id, safe='')}"
        return self._post(path, From=caller, To=to, Url=answer_url, StatusCallback=status_url)

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed."""
        return str(document["call_sid"])

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        url = f"{self.api}/v2/calls/{quote(call_id, safe='')}"
        return ApiCall("GET", url, {"Authorization": f"Bearer {self.api_key}"})

    def seen(self, document: dict[str, Any]) -> str:
        """All that Telnyx tells of a call is whether it goes on."""
        return "in-progress" if document["data"]["is_alive"] else "completed"

    def hang_up(self, call_id: str) -> ApiCall:
        """End the call."""
        return self._post(f"calls/{quote(call_id, safe='')}/actions/hangup")

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Connect the call to a number."""
        return self._post(f"calls/{quote(call_id, safe='')}/actions/transfer", to=number)

    def _post(self, path: str, **body: str) -> ApiCall:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        return ApiCall("POST", f"{self.api}/v2/{path}", headers, json.dumps(body).encode())


def is_signed(sent: str, time: str, body: bytes, public_key: str) -> bool:
    """Whether Telnyx's key made this signature of `<time>|<body>`."""
    key = _public_key(public_key)
    try:
        signature = base64.b64decode(sent, validate=True)
        if key is None or not time.isdecimal():
            return False
        key.verify(signature, f"{time}|".encode() + body)
    except (ValueError, InvalidSignature):
        return False
    return True


def _public_key(text: str) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError:
        return None

"""Telnyx: TeXML and media streaming, with RTP in both directions.

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
    JsonFrames,
    Signed,
    Stream,
    Webhook,
    api_root,
    document,
    format_of,
    inner,
    number,
    xml,
)

# The caller's codec is that of the phone line: A-law in most countries. It does not depend on
# bidirectionalCodec, the codec of what is played.
ENCODINGS = {"PCMU": "ulaw", "PCMA": "alaw"}
PLAYED = Format("ulaw", 8000)


@dataclass(frozen=True)
class Telnyx(JsonFrames):
    """An account at Telnyx; `connection_id` is the ID of its TeXML application."""

    api_key: str
    public_key: str
    connection_id: str = ""
    api: str = "https://api.telnyx.com"

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the credentials from the environment."""
        key = reader.required("TELNYX_PUBLIC_KEY")
        if key and not _public_key(key):
            reader.mistakes.append(
                "TELNYX_PUBLIC_KEY must be 32 bytes in base64, as in the portal."
            )
        return cls(
            reader.required("TELNYX_API_KEY"),
            key,
            reader.text("TELNYX_CONNECTION_ID"),
            api_root(reader, "telnyx", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check Telnyx's signature, which covers time and body, and its age. Raises Forged."""
        time = webhook.headers.get("telnyx-timestamp", "")
        sent = webhook.headers.get("telnyx-signature-ed25519", "")
        if not is_signed(sent, time, webhook.body, self.public_key):
            raise Forged("its telnyx-signature-ed25519 is wrong" if sent else "it is not signed")
        if abs(now - number(time)) > AGE_SECONDS:
            raise Forged("it is too old")
        if webhook.method != "POST":
            raise Forged("Telnyx does not sign the parameters of a GET: select POST")
        return Signed(webhook.parameters, base64.b64decode(sent))

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        return Call(fields.get("CallSid", ""), fields.get("From", ""), fields.get("To", ""))

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the answer that connects the call; without rtp the caller would hear nothing."""
        url = quoteattr(media_url)
        codec = 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
        return xml(f"<Connect><Stream url={url} {codec}/></Connect>")

    def reject_answer(self) -> Answer:
        """Return the answer that rejects the call."""
        return xml("<Reject/>")

    def dial_answer(self, number: str) -> Answer:
        """Return the answer that connects the call to a number."""
        return xml(f"<Dial>{escape(number)}</Dial>")

    def call_status(self, fields: Fields) -> tuple[str, str]:
        """Return the call's ID and its status."""
        return fields.get("CallSid", ""), fields.get("CallStatus", "")

    def stream_start(self, frame: Frame) -> Stream | None:
        """Return the stream of `start`; None for `connected` before it. Raises BadStart."""
        message = document(frame)
        if message.get("event") == "connected":
            return None
        if message.get("event") != "start":
            raise BadStart("neither `connected` nor `start`")
        start = inner(message, "start")
        format = inner(start, "media_format")
        heard = format_of(format.get("encoding"), format.get("sample_rate"), ENCODINGS)
        call_id = str(start.get("call_control_id"))
        return Stream(str(message.get("stream_id")), call_id, heard, PLAYED)

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this audio."""
        payload = base64.b64encode(audio).decode()
        return json.dumps({"event": "media", "media": {"payload": payload}})

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that comes back when all audio before it was played."""
        return json.dumps({"event": "mark", "mark": {"name": name}})

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number. Raises ApiError."""
        if not self.connection_id:
            raise ApiError(422, "no_connection", "To place calls, set TELNYX_CONNECTION_ID.")
        path = f"texml/calls/{quote(self.connection_id, safe='')}"
        return self._post(path, From=caller, To=to, Url=answer_url, StatusCallback=status_url)

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call."""
        return str(document["call_sid"])

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        url = f"{self.api}/v2/calls/{quote(call_id, safe='')}"
        return ApiCall("GET", url, {"Authorization": f"Bearer {self.api_key}"})

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status; Telnyx reports only whether the call is alive."""
        return "in-progress" if document["data"]["is_alive"] else "completed"

    def hang_up_request(self, call_id: str) -> ApiCall:
        """Return the request that ends the call."""
        return self._post(f"calls/{quote(call_id, safe='')}/actions/hangup")

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Return the request that transfers the call to a number."""
        return self._post(f"calls/{quote(call_id, safe='')}/actions/transfer", to=number)

    def _post(self, path: str, **body: str) -> ApiCall:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        return ApiCall("POST", f"{self.api}/v2/{path}", headers, json.dumps(body).encode())


def is_signed(sent: str, time: str, body: bytes, public_key: str) -> bool:
    """Return True if this is Telnyx's signature of `<time>|<body>`."""
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

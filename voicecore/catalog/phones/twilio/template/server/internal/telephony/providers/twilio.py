"""Twilio: TwiML and Media Streams.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

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
class Twilio(JsonFrames):
    """An account at Twilio."""

    account_sid: str
    auth_token: str
    api: str = "https://api.twilio.com"

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the credentials from the environment."""
        return cls(
            reader.required("TWILIO_ACCOUNT_SID"),
            reader.required("TWILIO_AUTH_TOKEN"),
            api_root(reader, "twilio", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check Twilio's signature, which has no time and no nonce. Raises Forged."""
        sent = webhook.headers.get("x-twilio-signature", "")
        if not is_signed(sent, webhook.url, webhook.form, self.auth_token):
            raise Forged("its X-Twilio-Signature is wrong" if sent else "it is not signed")
        require_names(webhook.parameters, "CallSid", "CallStatus", "From", "To")
        return Signed(webhook.parameters, base64.b64decode(sent))

    def check_media(self, handshake: Webhook) -> None:
        """Raise Forged if the handshake has a wrong signature; it may have none."""
        sent = handshake.headers.get("x-twilio-signature", "")
        # Some Twilio edges sign the URL as https, or with a slash at the end.
        for base in (handshake.url, handshake.url.replace("ws", "http", 1)):
            for url in (base, f"{base}/"):
                if not sent or is_signed(sent, url, (), self.auth_token):
                    return
        raise Forged("its X-Twilio-Signature is wrong")

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        return Call(fields.get("CallSid", ""), fields.get("From", ""), fields.get("To", ""))

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the answer that connects the call, and sends both numbers to the agent."""
        # Twilio accepts parameters, but no query in the URL.
        numbers = {"from_number": call.caller, "to_number": call.called}
        parameters = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in numbers.items()
        )
        stream = f"<Stream url={quoteattr(media_url)}>{parameters}</Stream>"
        return xml(f"<Connect>{stream}</Connect>")

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
        start = inner(message, "start")
        if message.get("event") != "start" or start.get("accountSid") != self.account_sid:
            raise BadStart("neither `connected` nor a `start` of this account")
        format = inner(start, "mediaFormat")
        heard = format_of(format.get("encoding"), format.get("sampleRate"), ENCODINGS)
        return Stream(str(start.get("streamSid")), str(start.get("callSid")), heard, PLAYED)

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this audio."""
        payload = base64.b64encode(audio).decode()
        return json.dumps({"event": "media", "streamSid": stream.id, "media": {"payload": payload}})

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that comes back when all audio before it was played."""
        return json.dumps({"event": "mark", "streamSid": stream.id, "mark": {"name": name}})

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number."""
        return self._post(
            "Calls.json", To=to, From=caller, Url=answer_url, StatusCallback=status_url
        )

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call."""
        return str(document["sid"])

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        return ApiCall("GET", self._url(f"Calls/{quote(call_id, safe='')}.json"), self._headers)

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status from the API's answer."""
        return str(document["status"])

    def hang_up_request(self, call_id: str) -> ApiCall:
        """Return the request that ends the call."""
        return self._post(f"Calls/{quote(call_id, safe='')}.json", Status="completed")

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Return the request that transfers the call: its new TwiML ends the stream."""
        return self._post(
            f"Calls/{quote(call_id, safe='')}.json", Twiml=self.dial_answer(number).body
        )

    def _post(self, path: str, **form: str) -> ApiCall:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return ApiCall("POST", self._url(path), headers, urlencode(form).encode())

    def _url(self, path: str) -> str:
        return f"{self.api}/2010-04-01/Accounts/{self.account_sid}/{path}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": basic(self.account_sid, self.auth_token)}


def signature(url: str, form: Iterable[tuple[str, str]], auth_token: str) -> str:
    """Return Twilio's signature of a request (https://www.twilio.com/docs/usage/security)."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()


def is_signed(sent: str, url: str, form: Iterable[tuple[str, str]], auth_token: str) -> bool:
    """Return True if this is the signature of the URL, with or without its port."""
    form = list(form)
    return any(
        hmac.compare_digest(sent.encode(), signature(variant, form, auth_token).encode())
        for variant in _ports(url)
    )


def _ports(url: str) -> Iterator[str]:
    yield url
    parts = urlsplit(url)
    usual = 443 if parts.scheme in ("https", "wss") else 80
    host = parts.hostname or ""
    bare = parts._replace(netloc=host if parts.port else f"{host}:{usual}")
    yield bare.geturl()

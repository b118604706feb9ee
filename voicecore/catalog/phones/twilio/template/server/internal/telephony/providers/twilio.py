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
class Twilio(JsonFrames):
    """An account of Twilio's."""

    account_sid: str
    auth_token: str
    api: str = "https://api.twilio.com"
    encoding: str = "ulaw"
    rate: int = 8000

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """By the environment."""
        return cls(
            reader.needed("TWILIO_ACCOUNT_SID"),
            reader.needed("TWILIO_AUTH_TOKEN"),
            api_root(reader, "twilio", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless Twilio signed this; it tells neither time nor nonce."""
        sent = webhook.headers.get("x-twilio-signature", "")
        if not is_signed(sent, webhook.url, webhook.form, self.auth_token):
            raise Forged("its X-Twilio-Signature is wrong" if sent else "it is not signed")
        return sent

    def check_media(self, handshake: Webhook) -> None:
        """Raise Forged if the media socket's handshake is signed, but wrongly."""
        sent = handshake.headers.get("x-twilio-signature", "")
        # Some of Twilio's edges sign the address as https, or with a slash at its end.
        for base in (handshake.url, handshake.url.replace("ws", "http", 1)):
            for url in (base, f"{base}/"):
                if not sent or is_signed(sent, url, (), self.auth_token):
                    return
        raise Forged("its X-Twilio-Signature is wrong")

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        return Call(webhook.text("CallSid"), webhook.text("From"), webhook.text("To"))

    def answer(self, call: Call, media_url: str) -> Answer:
        """Connect the call to this media socket, and tell the agent who calls."""
        # Twilio takes no query in the address, but parameters beside it.
        told = {"from_number": call.caller, "to_number": call.called}
        parameters = "".join(
            f"<Parameter name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in told.items()
        )
        stream = f"<Stream url={quoteattr(media_url)}>{parameters}</Stream>"
        return xml(f"<Connect>{stream}</Connect>")

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
        start = inner(said, "start")
        if said.get("event") != "start" or start.get("accountSid") != self.account_sid:
            raise BadStart("neither `connected` nor a `start` of this account")
        format = inner(start, "mediaFormat")
        encoding = "ulaw" if format.get("encoding") == "audio/x-mulaw" else "unknown"
        return Stream(
            str(start.get("streamSid")),
            str(start.get("callSid")),
            encoding,
            number(format.get("sampleRate")),
        )

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound."""
        payload = base64.b64encode(sound).decode()
        return json.dumps({"event": "media", "streamSid": stream.id, "media": {"payload": payload}})

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        return json.dumps({"event": "mark", "streamSid": stream.id, "mark": {"name": name}})

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number."""
        return self._post(
            "Calls.json", To=to, From=caller, Url=answer_url, StatusCallback=status_url
        )

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed."""
        return str(document["sid"])

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        return ApiCall("GET", self._url(f"Calls/{quote(call_id, safe='')}.json"), self._headers)

    def seen(self, document: dict[str, Any]) -> str:
        """That, in Twilio's word."""
        return str(document["status"])

    def hang_up(self, call_id: str) -> ApiCall:
        """End the call."""
        return self._post(f"Calls/{quote(call_id, safe='')}.json", Status="completed")

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Connect the call to a number: its new TwiML ends the stream."""
        return self._post(f"Calls/{quote(call_id, safe='')}.json", Twiml=self.dial(number).body)

    def _post(self, path: str, **form: str) -> ApiCall:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return ApiCall("POST", self._url(path), headers, urlencode(form).encode())

    def _url(self, path: str) -> str:
        return f"{self.api}/2010-04-01/Accounts/{self.account_sid}/{path}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": basic(self.account_sid, self.auth_token)}


def signature(url: str, form: Iterable[tuple[str, str]], auth_token: str) -> str:
    """Twilio's signature of a request (https://www.twilio.com/docs/usage/security)."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()


def is_signed(sent: str, url: str, form: Iterable[tuple[str, str]], auth_token: str) -> bool:
    """Whether that is the signature, of the address with its port or without."""
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

"""Owns what phone providers share: webhooks, calls, answers, streams, and their protocol.

The provider's own formats are in providers/, as pure functions of these values.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from ..access import Session
from ..api_errors import ApiError
from ..settings import Reader
from .phone_audio import Format

Frame = str | bytes
"""One message of a media socket."""
Fields = Mapping[str, str]
"""Fields of a webhook about a call."""

AGE_SECONDS = 300
"""Maximum age of a signed request, if the provider sends its time."""


class Forged(Exception):
    """The request is not from the provider; the message says how it shows."""


class BadStart(Exception):
    """A media socket does not start like the provider's; the message says what is wrong."""


@dataclass(frozen=True)
class Webhook:
    """A provider's request, with the URL that the provider used and lower-case header names."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Parameters of the URL."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """Fields of the form in the body of a POST; no signature covers another method's body."""
        body = self.body if self.method == "POST" else b""
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)

    @property
    def parameters(self) -> Fields:
        """Fields of a POST, parameters of another method; sorted, as signatures ignore order."""
        return dict(sorted(self.form if self.method == "POST" else self.query))


@dataclass(frozen=True)
class Signed:
    """The part of a webhook that its signature covers: nothing else is read."""

    fields: Fields
    once: bytes = b""
    """The signature, decoded: a second webhook with it is a replay. Empty if there is none."""


@dataclass(frozen=True)
class Call:
    """A call: the provider's ID of it, and both numbers."""

    id: str
    caller: str
    called: str


@dataclass(frozen=True)
class Answer:
    """An answer to a webhook, in the provider's own format."""

    type: str
    body: str
    status: int = 200


@dataclass(frozen=True)
class ApiCall:
    """A request to a provider's API."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Stream:
    """The audio of a call, as its first message describes it."""

    id: str
    call_id: str
    heard: Format
    """Format of the caller's voice."""
    played: Format
    """Format of what is played to the caller."""


class Provider(Protocol):
    """The operations of each provider; none uses the network."""

    @property
    def chunk_ms(self) -> int:
        """Length of the audio in a message to the caller."""
        ...

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check the signature and time of a webhook; return what it covers. Raises Forged."""
        ...

    def check_media(self, handshake: Webhook) -> None:
        """Check the signature of a media socket's handshake, if it has one. Raises Forged."""
        ...

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        ...

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the answer that connects the call to this media socket."""
        ...

    def reject_answer(self) -> Answer:
        """Return the answer that rejects the call."""
        ...

    def dial_answer(self, number: str) -> Answer:
        """Return the answer that connects the call to a number."""
        ...

    def call_status(self, fields: Fields) -> tuple[str, str]:
        """Return the call's ID and its status, in the provider's words."""
        ...

    def stream_start(self, frame: Frame) -> Stream | None:
        """Return the stream that this message starts; None if the next does. Raises BadStart."""
        ...

    def audio_of(self, frame: Frame) -> bytes | None:
        """Return the encoded audio of a message; empty if none, None if it is another track's."""
        ...

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this encoded audio."""
        ...

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that the provider sends back when all audio before it was played."""
        ...

    def is_mark(self, frame: Frame, name: str) -> bool:
        """Return True if the message is the mark with this name."""
        ...

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number; its webhook is `answer_url`. Raises ApiError."""
        ...

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call, from the API's answer."""
        ...

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        ...

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status, in the provider's words, from the API's answer."""
        ...

    def hang_up_request(self, call_id: str) -> ApiCall | None:
        """Return the request that ends the call; None if closing its media socket is enough."""
        ...

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Return the request that transfers the call; `dial_url` answers with `dial_answer`.

        Raises ApiError.
        """
        ...


class JsonFrames:
    """Messages in JSON, with base64 audio in media.payload, as four of five providers send them."""

    chunk_ms = 100

    def audio_of(self, frame: Frame) -> bytes | None:
        """Return the encoded audio of a message; empty if none, None if it is another track's."""
        media = inner(document(frame), "media")
        if str(media.get("track")).startswith("outbound"):
            return None  # what the caller hears
        try:
            return base64.b64decode(media["payload"])
        except (KeyError, TypeError, ValueError):
            return b""

    def is_mark(self, frame: Frame, name: str) -> bool:
        """Return True if the message is the mark with this name."""
        message = document(frame)
        return message.get("event") == "mark" and inner(message, "mark").get("name") == name

    def check_media(self, handshake: Webhook) -> None:
        """Accept any handshake: most providers sign none."""


def document(frame: Frame) -> dict[str, Any]:
    """Return the JSON object of a message; empty if it has none."""
    try:
        parsed = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def inner(message: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object with this name in a message; empty if there is none."""
    found = message.get(name)
    return found if isinstance(found, dict) else {}


def require_names(fields: Fields, *names: str) -> None:
    """Raise Forged if a field is missing that the provider always sends.

    A signature over names and values that run together is also valid for other fields: for
    `FromA=` as for `From=A`.
    """
    if missing := [name for name in names if name not in fields]:
        raise Forged(f"it has no {missing[0]}")


def number(value: object) -> int:
    """Return a number that may be written as text; 0 if it is not a number."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def format_of(name: object, rate: object, encodings: Mapping[str, str]) -> Format:
    """Return the format of a start message; an encoding that is not listed keeps its name."""
    text = str(name)[:40]
    return Format(encodings.get(text, text), number(rate))


def xml(verbs: str) -> Answer:
    """Return these verbs as an XML document, in the form of TwiML."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'
    return Answer("application/xml", text)


def basic(user: str, password: str) -> str:
    """Return the value of the header Authorization for HTTP basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def e164(text: str) -> str:
    """Return a phone number without its spaces. Raises ApiError if it has no country code."""
    number = re.sub(r"[ ().-]", "", text)
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        raise ApiError(422, "bad_number", "Write the number like +14155550100.")
    return number


def api_root(reader: Reader, provider: str, default: str) -> str:
    """Return the URL of a provider's API: <PROVIDER>_API_URL, or the default."""
    return (reader.text(f"{provider.upper()}_API_URL") or default).rstrip("/")


def session_id_for(provider: str, call_id: str) -> str:
    """Return the session ID of a call, always the same, so that a reconnect finds the session."""
    if provider == "twilio":
        return call_id  # 34 characters that AgentCore accepts
    return f"{provider}-{uuid.uuid5(uuid.NAMESPACE_URL, call_id)}"


def session_of(provider: str, call_id: str) -> Session:
    """Return the session of a call, whose caller is its provider."""
    id = session_id_for(provider, call_id)
    return Session(id, f"phone-{provider}", "telephony", int(time.time()))

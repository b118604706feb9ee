"""A telephone call as all providers have it: what they ask, what they are told, what they send.

Each provider's own words for it are in providers/, as pure functions of these values.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from ..api_errors import ApiError
from ..settings import Reader

Frame = str | bytes
"""What a media socket carries in one message."""

AGE_SECONDS = 300
"""A signed request that is older is refused, where the provider says when it was made."""


class Forged(Exception):
    """This does not come from whom it says it does; the message says how that shows."""


class BadStart(Exception):
    """A media socket does not begin as the provider's do; the message says what is wrong."""


@dataclass(frozen=True)
class Webhook:
    """A provider's request, by the URL that it called us by; names of headers in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """What the URL says."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """What the body says, where it is a form."""
        if "x-www-form-urlencoded" not in self.headers.get("content-type", ""):
            return []
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    @cached_property
    def said(self) -> dict[str, Any]:
        """All of it together: URL, and form or JSON. Nothing for what is neither."""
        try:
            document = json.loads(self.body) if self.body and not self.form else {}
        except (ValueError, RecursionError):
            document = {}
        said = document if isinstance(document, dict) else {}
        return {**dict(self.query), **dict(self.form), **said}

    def text(self, name: str) -> str:
        """What it says under this name, or nothing."""
        return str(self.said.get(name) or "")


@dataclass(frozen=True)
class Call:
    """Who calls whom, and the provider's id of it."""

    id: str
    caller: str
    called: str


@dataclass(frozen=True)
class Answer:
    """What a provider is told to do with a call, in its own language."""

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
    """The sound of a call, as its first message describes it."""

    id: str
    call_id: str
    encoding: str
    rate: int


class Provider(Protocol):
    """What each of them can do; nothing here touches the network."""

    @property
    def encoding(self) -> str:
        """Of the sound on the media socket: "ulaw", or "pcm" of 16 bits."""
        ...

    @property
    def rate(self) -> int:
        """Samples a second."""
        ...

    @property
    def piece_ms(self) -> int:
        """How much sound a message brings to the caller."""
        ...

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless the provider signed this, and lately.

        Returns what it never says twice; empty where it has no such thing.
        """
        ...

    def check_media(self, handshake: Webhook) -> None:
        """Raise Forged if the media socket's handshake is signed, but wrongly."""
        ...

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        ...

    def answer(self, call: Call, media_url: str) -> Answer:
        """Connect the call to this media socket."""
        ...

    def reject(self) -> Answer:
        """Take no such call."""
        ...

    def dial(self, number: str) -> Answer:
        """Connect the call to a number instead."""
        ...

    def state(self, webhook: Webhook) -> tuple[str, str]:
        """The call that a status is about, and the status, in the provider's word."""
        ...

    def started(self, frame: Frame) -> Stream | None:
        """The stream that this message begins; None if the next one does. Raises BadStart."""
        ...

    def sound(self, frame: Frame) -> bytes:
        """The sound in a message, encoded as it came; empty for other messages."""
        ...

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound, encoded as the stream is."""
        ...

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        ...

    def passed(self, frame: Frame, name: str) -> bool:
        """Whether the mark of this name came back."""
        ...

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number; who answers is asked about at `answer_url`. Raises ApiError."""
        ...

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed."""
        ...

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        ...

    def seen(self, document: dict[str, Any]) -> str:
        """That, in the provider's word."""
        ...

    def hang_up(self, call_id: str) -> ApiCall | None:
        """End the call; None where that takes no more than closing its media socket."""
        ...

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Connect the call to a number; `dial_url` answers with `dial`. Raises ApiError."""
        ...


class JsonFrames:
    """Messages as JSON, with the sound in base64 under media.payload: four providers of five."""

    piece_ms = 100

    def sound(self, frame: Frame) -> bytes:
        """The sound in a message, encoded as it came; empty for other messages."""
        try:
            return base64.b64decode(document(frame)["media"]["payload"])
        except (KeyError, TypeError, binascii.Error):
            return b""

    def passed(self, frame: Frame, name: str) -> bool:
        """Whether the mark of this name came back."""
        said = document(frame)
        return said.get("event") == "mark" and inner(said, "mark").get("name") == name

    def check_media(self, handshake: Webhook) -> None:
        """Most sign no handshake."""


def document(frame: Frame) -> dict[str, Any]:
    """A message's JSON object; empty if it has none."""
    try:
        parsed = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def inner(said: dict[str, Any], name: str) -> dict[str, Any]:
    """The object in it of this name; empty if there is none."""
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def number(value: object) -> int:
    """A number that may be written as text; 0 if it is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def xml(verbs: str) -> Answer:
    """These verbs as a document, as it is written in TwiML, and where others have it from there."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'
    return Answer("application/xml", text)


def basic(user: str, password: str) -> str:
    """The header Authorization by user and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def e164(text: str) -> str:
    """A telephone number with its plus. Raises ApiError if it is none."""
    found = re.fullmatch(r"\+?([1-9][0-9]{6,14})", re.sub(r"[ ().-]", "", text))
    if not found:
        raise ApiError(422, "bad_number", "A number is written like +14155550100.")
    return f"+{found[1]}"


def api_root(reader: Reader, provider: str, default: str) -> str:
    """Where a provider's API is: <PROVIDER>_API_URL, or where it usually is."""
    return (reader.text(f"{provider.upper()}_API_URL") or default).rstrip("/")

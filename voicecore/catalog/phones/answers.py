"""Owns the steps of a server's answer to a call, and helpers to read them from XML and JSON.

A server answers in the provider's own language (TwiML, TeXML, Plivo XML, NCCO, JSON). What the
provider would refuse is refused with the provider's reason. The test telephone follows the steps
that say where the audio goes, and shows the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree

from voicecore.console import json_text
from voicecore.console.errors import VoicecoreError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AnswerRefused(VoicecoreError):
    """The provider would not accept the server's answer to a call."""

    def __init__(self, title: str, reason: str, answer: str) -> None:
        start = " ".join(answer.split())[:200]
        super().__init__(
            f"{title} would refuse the server's answer: {reason}.",
            f"The server answered:  {start}" if start else "The answer was empty.",
        )


class BadAnswer(Exception):
    """An answer that the provider would refuse; the message says why."""


@dataclass(frozen=True)
class Connect:
    """Connect the call's audio to this WebSocket."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Say:
    """Let the provider itself speak a text."""

    text: str


@dataclass(frozen=True)
class HangUp:
    """End the call."""

    rejected: bool = False
    """True when the call was never accepted."""


@dataclass(frozen=True)
class Dial:
    """Connect the call to another number."""

    number: str


Step = Connect | Say | HangUp | Dial


def verbs_in(answer: str) -> list[ElementTree.Element]:
    """Return the verbs in the <Response> of an XML answer. Raises BadAnswer."""
    if "<!DOCTYPE" in answer:
        raise BadAnswer("it has a document type")
    try:
        # No entity can be declared without a document type.
        root = ElementTree.fromstring(answer.strip())  # noqa: S314
    except ElementTree.ParseError as error:
        raise BadAnswer(f"it is not XML ({error})") from None
    if root.tag != "Response":
        raise BadAnswer(f"its root is <{root.tag}>, not <Response>")
    verbs = list(root)
    if not verbs:
        raise BadAnswer("it has no verb, which ends the call")
    return verbs


def common_steps(verb: ElementTree.Element, speak: str = "Say") -> Iterator[Step]:
    """Yield the step of a verb that means the same at every XML provider. Raises BadAnswer.

    `speak` is the verb that speaks a text.
    """
    text = (verb.text or "").strip()
    if verb.tag == speak:
        yield Say(text)
    elif verb.tag in ("Reject", "Hangup"):
        yield HangUp(rejected=verb.tag == "Reject" or verb.get("reason") == "rejected")
    elif verb.tag == "Dial":
        number = verb.find("Number")
        yield Dial(text if number is None else (number.text or "").strip())
    elif verb.tag not in ("Play", "Pause", "Wait"):  # these only play audio, or none
        raise BadAnswer(f"a telephone cannot follow the verb <{verb.tag}>")


def refuse_start(verb: ElementTree.Element) -> None:
    """Raise BadAnswer for <Start>, which streams in one direction only."""
    if verb.tag == "Start":
        raise BadAnswer("<Start> only listens, so the caller hears nothing: use <Connect>")


def only_child(verb: ElementTree.Element, tag: str) -> ElementTree.Element:
    """Return the one element in a verb. Raises BadAnswer if there are others."""
    if [child.tag for child in verb] != [tag]:
        raise BadAnswer(f"<{verb.tag}> must hold one <{tag}> and nothing else")
    return verb[0]


def json_in(answer: str) -> object:
    """Return what a JSON answer holds. Raises BadAnswer."""
    try:
        return json_text.parse(answer)
    except json_text.NotJson as error:
        raise BadAnswer(f"it is not JSON ({error})") from None


def media_url(url: str) -> str:
    """Return the URL of a media socket. Raises BadAnswer unless the provider would open it."""
    try:
        parts = urlsplit(url)
        valid = parts.hostname and parts.scheme in ("ws", "wss") and parts.port != 0
    except ValueError:  # of brackets without an IPv6 address, and of a port above 65535
        raise BadAnswer(f"{url!r} is not a wss:// URL") from None
    if not valid:
        raise BadAnswer(f"{url!r} is not a wss:// URL")
    if parts.scheme == "ws" and parts.hostname not in _LOOPBACK:
        raise BadAnswer(f"{url!r} uses ws://, but audio to {parts.hostname} needs wss://")
    return url

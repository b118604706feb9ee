"""What a server answers to a call, read as the provider reads it: TwiML, TeXML, XML, NCCO, JSON.

What the provider refuses is refused with the provider's reason. Of all that a call can be told to
do, a telephone needs to know where its sound goes; the rest is a line to show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit
from xml.etree import ElementTree

from voicecore.console.errors import VoicecoreError

_HERE = ("127.0.0.1", "localhost", "::1")
_PARAMETER_CHARACTERS = 500
"""Of a Twilio <Parameter>, name and value together."""
_EXOTEL_CHARACTERS = 600
"""Of a media URL, in Exotel's API."""
_VONAGE_BYTES = 512
"""Of an endpoint's headers, as JSON."""


class AnswerRefused(VoicecoreError):
    """The server's answer to a call is none that the provider would take."""

    def __init__(self, provider: str, reason: str, answer: str) -> None:
        start = " ".join(answer.split())[:200]
        super().__init__(
            f"{provider.capitalize()} would refuse the server's answer: {reason}.",
            f"It answered:  {start}" if start else "It answered nothing.",
        )


@dataclass(frozen=True)
class Connect:
    """Take the sound to this WebSocket."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Say:
    """The provider itself speaks."""

    text: str


@dataclass(frozen=True)
class HangUp:
    """End the call; rejected: without having taken it."""

    rejected: bool = False


@dataclass(frozen=True)
class Dial:
    """Go on with somebody else."""

    number: str


Step = Connect | Say | HangUp | Dial


class _Bad(Exception):
    """Why an answer is refused."""


def read_answer(provider: str, answer: str) -> tuple[Step, ...]:
    """What the call is told to do, in order. Raises AnswerRefused."""
    try:
        return tuple(_READERS[provider](answer))
    except _Bad as bad:
        raise AnswerRefused(provider, str(bad), answer) from None


def _twilio(answer: str) -> Iterator[Step]:
    for verb in _response(answer):
        match verb.tag:
            case "Connect":
                yield _twilio_stream(verb)
            case "Start":
                raise _Bad("<Start> only listens, and nothing of the agent is heard: use <Connect>")
            case _:
                yield from _common(verb, "Say", "Number")


def _twilio_stream(verb: ElementTree.Element) -> Connect:
    stream = _only(verb, "Stream")
    url = stream.get("url", "")
    if urlsplit(url).query:
        # Error 31922 of Twilio's list.
        raise _Bad("the url of <Stream> has a query string: send <Parameter>s instead (31922)")
    parameters: dict[str, str] = {}
    for parameter in stream:
        if parameter.tag != "Parameter":
            raise _Bad(f"<{parameter.tag}> in <Stream>")
        name, value = parameter.get("name", ""), parameter.get("value", "")
        if len(name) + len(value) > _PARAMETER_CHARACTERS:
            raise _Bad(f"the <Parameter> {name} is longer than {_PARAMETER_CHARACTERS} characters")
        parameters[name] = value
    return Connect(_address(url), parameters)


def _telnyx(answer: str) -> Iterator[Step]:
    for verb in _response(answer):
        match verb.tag:
            case "Connect":
                stream = _only(verb, "Stream")
                if stream.get("bidirectionalMode") != "rtp":
                    raise _Bad('without bidirectionalMode="rtp" the caller hears nothing')
                if stream.get("bidirectionalCodec", "PCMU") != "PCMU":
                    raise _Bad(f"the codec is {stream.get('bidirectionalCodec')}, not PCMU")
                yield Connect(
                    _address(stream.get("url", "")),
                    {p.get("name", ""): p.get("value", "") for p in stream.iter("Parameter")},
                )
            case "Start":
                raise _Bad("<Start> only listens, and nothing of the agent is heard: use <Connect>")
            case _:
                yield from _common(verb, "Say", "Number")


def _plivo(answer: str) -> Iterator[Step]:
    for verb in _response(answer):
        if verb.tag != "Stream":
            yield from _common(verb, "Speak", "Number")
            continue
        if verb.get("bidirectional") != "true":
            raise _Bad('without bidirectional="true" the caller hears nothing')
        content = verb.get("contentType", "audio/x-mulaw;rate=8000").replace(" ", "")
        if content != "audio/x-mulaw;rate=8000":
            raise _Bad(f"the contentType is {content}, not audio/x-mulaw;rate=8000")
        told = verb.get("extraHeaders", "")
        pairs = (pair.partition("=") for pair in told.split(";") if pair)
        yield Connect(
            _address((verb.text or "").strip()),
            {name.strip(): value.strip() for name, _, value in pairs},
        )


def _exotel(answer: str) -> Iterator[Step]:
    body = _json(answer)
    url = cast("dict[str, Any]", body).get("url") if isinstance(body, dict) else None
    if not isinstance(url, str):
        raise _Bad('it is no {"url": "wss://..."}')
    if len(url) > _EXOTEL_CHARACTERS:
        raise _Bad(f"its URL is longer than {_EXOTEL_CHARACTERS} characters")
    yield Connect(_address(url))


def _vonage(answer: str) -> Iterator[Step]:
    actions = _json(answer)
    if not isinstance(actions, list):
        raise _Bad("an NCCO is a list of actions")
    if not actions:
        yield HangUp(rejected=True)
    for action in cast("list[Any]", actions):
        body = cast("dict[str, Any]", action) if isinstance(action, dict) else {}
        match body.get("action"):
            case "connect":
                yield _vonage_connect(body)
            case "talk":
                yield Say(str(body.get("text", "")))
            case "stream" | "record" | "notify" | "wait":
                pass
            case other:
                raise _Bad(f"{other!r} is no action of an NCCO that a telephone can follow")


def _vonage_connect(action: Mapping[str, Any]) -> Connect | Dial:
    endpoints = action.get("endpoint")
    if not isinstance(endpoints, list) or len(cast("list[Any]", endpoints)) != 1:
        raise _Bad("a connect action has one endpoint")
    endpoint = cast("list[dict[str, Any]]", endpoints)[0]
    if endpoint.get("type") == "phone":
        return Dial(str(endpoint.get("number", "")))
    if endpoint.get("type") != "websocket":
        raise _Bad(f"the endpoint is a {endpoint.get('type')!r}, not a websocket")
    if endpoint.get("content-type") != "audio/l16;rate=16000":
        raise _Bad(f"the content-type is {endpoint.get('content-type')}, not audio/l16;rate=16000")
    headers = cast("dict[str, Any]", endpoint.get("headers") or {})
    if len(json.dumps(headers, separators=(",", ":"))) > _VONAGE_BYTES:
        raise _Bad(f"the headers are longer than {_VONAGE_BYTES} bytes")
    return Connect(_address(str(endpoint.get("uri", ""))), headers)


def _response(answer: str) -> list[ElementTree.Element]:
    if "<!DOCTYPE" in answer:
        raise _Bad("it has a document type")
    try:
        # No entity can be declared without a document type.
        root = ElementTree.fromstring(answer.strip())  # noqa: S314
    except ElementTree.ParseError as error:
        raise _Bad(f"it is no XML ({error})") from None
    if root.tag != "Response":
        raise _Bad(f"it is <{root.tag}> and not <Response>")
    verbs = list(root)
    if not verbs:
        raise _Bad("it tells the call nothing, which ends it")
    return verbs


def _common(verb: ElementTree.Element, speak: str, number: str) -> Iterator[Step]:
    """The verbs that mean the same everywhere."""
    text = (verb.text or "").strip()
    if verb.tag == speak:
        yield Say(text)
    elif verb.tag in ("Reject", "Hangup"):
        yield HangUp(rejected=verb.tag == "Reject" or verb.get("reason") == "rejected")
    elif verb.tag == "Dial":
        inner = verb.find(number)
        yield Dial(text if inner is None else (inner.text or "").strip())
    elif verb.tag not in ("Play", "Pause", "Wait"):  # what is but heard, and delays nothing
        raise _Bad(f"<{verb.tag}> is no verb that a telephone can follow")


def _only(verb: ElementTree.Element, tag: str) -> ElementTree.Element:
    if [child.tag for child in verb] != [tag]:
        raise _Bad(f"<{verb.tag}> holds one <{tag}>, and nothing else")
    return verb[0]


def _json(answer: str) -> object:
    try:
        return json.loads(answer)
    except json.JSONDecodeError as error:
        raise _Bad(f"it is no JSON ({error})") from None


def _address(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("ws", "wss"):
        raise _Bad(f"{url!r} is no wss:// address")
    if parts.scheme == "ws" and parts.hostname not in _HERE:
        raise _Bad(f"{parts.hostname} is to be reached by ws://, and sound goes by wss:// only")
    return url


_READERS: Mapping[str, Callable[[str], Iterator[Step]]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "exotel": _exotel,
    "vonage": _vonage,
}

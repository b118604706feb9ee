"""Owns the parts that providers' signaling shares: calls, signed requests, answers.

A provider asks a server over HTTP what to do with a call, reports what became of it, and proves
with a signature that the request is its own. Each provider's `signaling` module says how.
"""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.catalog.phones.answers import AnswerRefused, BadAnswer, Step
from voicecore.catalog.phones.media import MediaStream
from voicecore.catalog.phones.record import Phone
from voicecore.console.errors import VoicecoreError

Credentials = Mapping[str, str]
"""A provider's variables by name, as the server has them."""
Headers = dict[str, str]


class MissingCredential(VoicecoreError):
    """A variable that the provider signs its requests with is not known."""

    def __init__(self, phone: Phone, variable: str) -> None:
        if variable == SIGNING_KEY:
            super().__init__(
                f"Only {phone.title} itself can sign for the {phone.name.upper()}_PUBLIC_KEY "
                "that is set.",
                "Remove it from server/.env while you develop: `voicecore dev` then makes up a "
                "key pair for the run.",
            )
            return
        super().__init__(
            f"{variable} is not known: {phone.title} signs its requests with it.",
            "`voicecore dev` of a project with this provider makes one up for its run;\n"
            f"with --url it comes from the environment:  export {variable}=…",
        )


@dataclass(frozen=True)
class WebhookRequest:
    """A request before it is signed: `fields` go into the URL of a GET or the body of a POST."""

    method: str
    url: str
    fields: Mapping[str, str]
    as_json: bool = False

    @property
    def body(self) -> bytes:
        """Body of the request; empty for a GET."""
        if self.method == "GET":
            return b""
        return compact_json(self.fields) if self.as_json else urlencode(self.fields).encode()

    @property
    def address(self) -> str:
        """URL to request, with the fields of a GET."""
        if self.method != "GET" or not self.fields:
            return self.url
        return f"{self.url}{'&' if urlsplit(self.url).query else '?'}{urlencode(self.fields)}"

    @property
    def sorted_form(self) -> str:
        """Names and values of a POST's form, sorted by name; some providers sign this."""
        if self.method == "GET":
            return ""
        return "".join(f"{name}{self.fields[name]}" for name in sorted(self.fields))

    @property
    def content_type(self) -> str:
        """Content type of the body."""
        return "application/json" if self.as_json else "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class PhoneCall:
    """One call as its provider knows it; numbers are E.164."""

    phone: Phone
    account: str
    id: str
    stream: str
    caller: str
    called: str
    outbound: bool = False
    """True when the server placed the call."""

    @property
    def session_id(self) -> str:
        """ID of the call's session, as a generated server derives it."""
        if self.phone.call_id_is_session_id:
            return self.id
        return f"{self.phone.name}-{uuid.uuid5(uuid.NAMESPACE_URL, self.id)}"

    def media(self, parameters: Mapping[str, str]) -> MediaStream:
        """Return the call's media stream."""
        return MediaStream(self.account, self.id, self.stream, self.caller, self.called, parameters)


class Signaling(ABC):
    """One provider's requests to a server about calls."""

    answer_method: ClassVar[str] = "POST"
    """HTTP method of the request for an answer."""
    status_as_json: ClassVar[bool] = False
    """True when a status is sent as JSON; otherwise it is a form."""
    signs_media: ClassVar[bool] = False
    """True when the handshake of the media socket is signed."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone

    def new_call(
        self, credentials: Credentials, caller: str, called: str, outbound: bool = False
    ) -> PhoneCall:
        """Return a call with new IDs. Raises MissingCredential."""
        call, stream = self.new_ids()
        account = self.account(credentials)
        return PhoneCall(self.phone, account, call, stream, caller, called, outbound)

    def answer_request(self, call: PhoneCall, url: str) -> WebhookRequest:
        """Return the request that asks what to do with the call."""
        status = "in-progress" if call.outbound else "ringing"
        return WebhookRequest(self.answer_method, url, self.fields(call, status))

    def status_request(self, call: PhoneCall, url: str, status: str) -> WebhookRequest:
        """Return the request that reports the call's status, in the provider's own word."""
        return WebhookRequest("POST", url, self.fields(call, status), self.status_as_json)

    def sign_media(self, url: str, credentials: Credentials, at: float) -> Headers:
        """Return the headers of the media socket's handshake at Unix time `at`.

        Raises MissingCredential.
        """
        if not self.signs_media:
            return {}
        return self.sign(WebhookRequest("GET", url, {}), credentials, at)

    def read_answer(self, answer: str) -> tuple[Step, ...]:
        """Return what the answer tells the call to do, in order. Raises AnswerRefused."""
        try:
            return tuple(self.steps(answer))
        except BadAnswer as bad:
            raise AnswerRefused(self.phone.title, str(bad), answer) from None

    def credential(self, credentials: Credentials, variable: str) -> str:
        """Return the value of a variable. Raises MissingCredential."""
        if not credentials.get(variable):
            raise MissingCredential(self.phone, variable)
        return credentials[variable]

    @abstractmethod
    def account(self, credentials: Credentials) -> str:
        """Return the ID of the account. Raises MissingCredential."""

    @abstractmethod
    def new_ids(self) -> tuple[str, str]:
        """Return new IDs of a call and its stream, in the form that the provider gives them."""

    @abstractmethod
    def fields(self, call: PhoneCall, status: str) -> dict[str, str]:
        """Return the fields of a request about a call with this status."""

    @abstractmethod
    def sign(self, request: WebhookRequest, credentials: Credentials, at: float) -> Headers:
        """Return the headers that prove the provider at Unix time `at`.

        Raises MissingCredential.
        """

    @abstractmethod
    def steps(self, answer: str) -> Iterator[Step]:
        """Yield the steps of an answer. Raises BadAnswer."""


def digits(number: str) -> str:
    """Return an E.164 number without its plus."""
    return number.removeprefix("+")


def compact_json(value: Mapping[str, object]) -> bytes:
    """Return a JSON object without spaces."""
    return json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False).encode()

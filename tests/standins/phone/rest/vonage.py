"""Vonage's Voice API, version 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.standins.phone.rest.api import E164, PhoneApi, Refused, Route, digits
from voicecore.catalog.phones.answers import AnswerRefused

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call


class VonageApi(PhoneApi):
    """The Voice API."""

    def routes(self) -> list[Route]:
        return [
            ("POST", "/v1/calls", self.create),
            ("GET", "/v1/calls/{call}", self.get),
            ("PUT", "/v1/calls/{call}", self.update),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        try:
            to, caller = str(body["to"][0]["number"]), str(body["from"]["number"])
            answer_url = str(body["answer_url"][0])
            events = str((body.get("event_url") or [""])[0])
        except (KeyError, IndexError, TypeError) as error:
            raise self._refused(400, f"Invalid request body: {error!r}") from None
        if to.startswith("+") or not E164.fullmatch(to):
            raise self._refused(400, "to.number: digits in E.164 form, without a plus")
        if not self.owns(caller):
            raise self._refused(400, "from.number is not yours")
        call = self.provider.place(f"+{digits(caller)}", f"+{to}", answer_url, events)
        conversation = f"CON-{call.phone_call.stream}"
        created = {"uuid": call.phone_call.id, "status": "started", "direction": "outbound"}
        return 201, {**created, "conversation_uuid": conversation}

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        status = "answered" if call.status == "in-progress" else call.status
        return 200, {
            "uuid": call.phone_call.id,
            "status": status,
            "direction": "outbound" if call.phone_call.outbound else "inbound",
            "from": {"type": "phone", "number": digits(call.phone_call.caller)},
            "to": {"type": "phone", "number": digits(call.phone_call.called)},
        }

    def update(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        if not call.alive:
            raise self._refused(400, "Call is not active")
        if body.get("action") == "hangup":
            self.provider.end(call)
        elif body.get("action") == "transfer":
            try:
                self.provider.transfer(call, json.dumps(body["destination"]["ncco"]))
            except (KeyError, TypeError, AnswerRefused) as error:
                raise self._refused(400, f"Invalid destination: {error!r}") from None
        else:
            raise self._refused(400, f"Invalid action: {body.get('action')}")
        return 204, None

    def _known(self, request: web.Request) -> Call:
        return self.call(request, self._refused(404, "Call does not exist"))

    def _authenticate(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        private = load_pem_private_key(self.secrets["VONAGE_PRIVATE_KEY"].encode(), None)
        assert isinstance(private, RSAPrivateKey)
        key = private.public_key()
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"])
        except jwt.InvalidTokenError as error:
            raise self._refused(401, f"Unauthorized: {error}") from None
        application = self.secrets["VONAGE_APPLICATION_ID"]
        if kind != "Bearer" or claims.get("application_id") != application:
            raise self._refused(401, "Unauthorized: not this application")

    def _refused(self, status: int, detail: str) -> Refused:
        kind = "https://developer.vonage.com/api-errors"
        return Refused(status, {"type": kind, "title": "Refused", "detail": detail})

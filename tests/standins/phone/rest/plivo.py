"""Plivo's Call API, version 1."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.phone.rest.api import E164, PhoneApi, Refused, Route, digits

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call


class PlivoApi(PhoneApi):
    """The Call API."""

    def routes(self) -> list[Route]:
        account = f"/v1/Account/{self.secrets['PLIVO_AUTH_ID']}"
        return [
            ("POST", f"{account}/Call/", self.create),
            ("GET", account + "/Call/{call}/", self.get),
            ("POST", account + "/Call/{call}/", self.transfer),
            ("DELETE", account + "/Call/{call}/", self.hang_up),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        for name in ("from", "to", "answer_url"):
            if not body.get(name):
                raise self._refused(400, f"{name} parameter is mandatory")
        if not E164.fullmatch(str(body["to"])):
            raise self._refused(400, f"{body['to']} is not a valid phone number")
        if not self.owns(str(body["from"])):
            raise self._refused(400, f"{body['from']} is not a number of yours")
        call = self.provider.place(
            f"+{digits(body['from'])}",
            f"+{digits(body['to'])}",
            str(body["answer_url"]),
            str(body.get("hangup_url", "")),
        )
        return 201, self._document(message="call fired", request_uuid=call.phone_call.id)

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._active(request)
        return 200, self._document(
            call_uuid=call.phone_call.id,
            call_status=call.status,
            direction="outbound" if call.phone_call.outbound else "inbound",
            **{"from": call.phone_call.caller, "to": call.phone_call.called},
        )

    def transfer(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._active(request)
        if not body.get("aleg_url"):
            raise self._refused(400, "aleg_url parameter is mandatory")
        self.provider.transfer_by(call, str(body["aleg_url"]))
        return 202, self._document(message="call transferred", call_uuids=[call.phone_call.id])

    def hang_up(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        self.provider.end(self._active(request))
        return 204, None

    def _active(self, request: web.Request) -> Call:
        call = self.call(request, self._refused(404, "call not found"))
        if not call.alive:
            raise self._refused(404, "call not found")
        return call

    def _authenticate(self, request: web.Request) -> None:
        refused = Refused(401, "Could not verify your access level for that URL.")
        self.require_basic(request, "PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN", refused)

    def _refused(self, status: int, error: str) -> Refused:
        return Refused(status, self._document(error=error))

    def _document(self, **fields: object) -> dict[str, object]:
        return {"api_id": str(uuid.uuid4()), **fields}

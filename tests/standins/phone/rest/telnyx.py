"""Telnyx's TeXML calls, and Call Control for what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.phone.rest.api import E164, PhoneApi, Refused, Route

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call


class TelnyxApi(PhoneApi):
    """TeXML calls and Call Control."""

    def routes(self) -> list[Route]:
        connection = self.secrets["TELNYX_CONNECTION_ID"]
        return [
            ("POST", f"/v2/texml/calls/{connection}", self.create),
            ("GET", "/v2/calls/{call}", self.get),
            ("POST", "/v2/calls/{call}/actions/hangup", self.hang_up),
            ("POST", "/v2/calls/{call}/actions/transfer", self.transfer),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        to, caller = str(body.get("To", "")), str(body.get("From", ""))
        if not to.startswith("+") or not E164.fullmatch(to):
            raise self._refused(422, "10016", "Phone number must be in +E164 format", to)
        if not self.owns(caller):
            raise self._refused(403, "10010", "Authorization failed", f"{caller} is not yours")
        call = self.provider.place(
            caller, to, str(body.get("Url", "")), str(body.get("StatusCallback", ""))
        )
        return 200, {"from": caller, "to": to, "status": "queued", "call_sid": call.phone_call.id}

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        call_id = call.phone_call.id
        data = {"record_type": "call", "call_control_id": call_id, "is_alive": call.alive}
        return 200, {"data": data}

    def hang_up(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        self.provider.end(self._active(request))
        return 200, {"data": {"result": "ok"}}

    def transfer(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call, to = self._active(request), str(body.get("to", ""))
        if not to.startswith("+") or not E164.fullmatch(to):
            raise self._refused(422, "10016", "Phone number must be in +E164 format", to)
        self.provider.transfer(call, f"<Response><Dial>{to}</Dial></Response>")
        return 200, {"data": {"result": "ok"}}

    def _known(self, request: web.Request) -> Call:
        return self.call(request, self._refused(404, "10005", "Resource not found", request.path))

    def _active(self, request: web.Request) -> Call:
        call = self._known(request)
        if not call.alive:
            raise self._refused(422, "90018", "Call has already ended", "")
        return call

    def _authenticate(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.secrets['TELNYX_API_KEY']}":
            raise self._refused(401, "10009", "Authentication failed", "No key found matching")

    def _refused(self, status: int, code: str, title: str, detail: str) -> Refused:
        return Refused(status, {"errors": [{"code": code, "title": title, "detail": detail}]})

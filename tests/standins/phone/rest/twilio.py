"""Twilio's Calls resource, version 2010-04-01."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.phone.rest.api import E164, PhoneApi, Refused, Route
from voicecore.catalog.phones.answers import AnswerRefused

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call


class TwilioApi(PhoneApi):
    """The Calls resource."""

    def routes(self) -> list[Route]:
        account = f"/2010-04-01/Accounts/{self.secrets['TWILIO_ACCOUNT_SID']}"
        return [
            ("POST", f"{account}/Calls.json", self.create),
            ("GET", account + "/Calls/{call}.json", self.get),
            ("POST", account + "/Calls/{call}.json", self.update),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        if not body.get("To"):
            raise self._refused(400, 21201, "No 'To' number is specified")
        if not E164.fullmatch(body["To"]):
            raise self._refused(400, 21211, f"Invalid 'To' Phone Number: {body['To']}")
        if not self.owns(body.get("From", "")):
            raise self._refused(400, 21210, f"'From' {body.get('From')} is not verified")
        if not str(body.get("Url", "")).startswith(("http://", "https://")):
            raise self._refused(400, 21205, f"Url is not a valid URL: {body.get('Url')}")
        call = self.provider.place(
            body["From"], body["To"], body["Url"], body.get("StatusCallback", "")
        )
        return 201, self._shown(call, "queued")

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        return 200, self._shown(call, call.status)

    def update(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        if not call.alive:
            raise self._refused(400, 21220, "Call is not in-progress. Cannot redirect.")
        if body.get("Status") == "completed":
            self.provider.end(call)
        elif body.get("Twiml"):
            try:
                self.provider.transfer(call, body["Twiml"])
            except AnswerRefused as error:
                raise self._refused(400, 12100, error.message) from None
        else:
            raise self._refused(400, 21218, "Invalid TwiML or status")
        return 200, self._shown(call, call.status)

    def _known(self, request: web.Request) -> Call:
        message = f"The requested resource {request.path} was not found"
        return self.call(request, self._refused(404, 20404, message))

    def _authenticate(self, request: web.Request) -> None:
        refused = self._refused(401, 20003, "Authenticate")
        self.require_basic(request, "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", refused)

    def _refused(self, status: int, code: int, message: str) -> Refused:
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Refused(
            status, {"code": code, "message": message, "more_info": more, "status": status}
        )

    def _shown(self, call: Call, status: str) -> object:
        return {
            "sid": call.phone_call.id,
            "account_sid": call.phone_call.account,
            "from": call.phone_call.caller,
            "to": call.phone_call.called,
            "status": status,
            "direction": "outbound-api" if call.phone_call.outbound else "inbound",
            "api_version": "2010-04-01",
        }

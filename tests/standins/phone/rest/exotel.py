"""Exotel's Calls, version 1: they can be placed and looked up, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.standins.phone.rest.api import E164, PhoneApi, Refused, Route

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call


class ExotelApi(PhoneApi):
    """The Calls API."""

    def routes(self) -> list[Route]:
        account = f"/v1/Accounts/{self.secrets['EXOTEL_ACCOUNT_SID']}"
        return [
            ("POST", f"{account}/Calls/connect.json", self.create),
            ("GET", account + "/Calls/{call}.json", self.get),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        callee, own = str(body.get("From", "")), str(body.get("CallerId", ""))
        if not E164.fullmatch(callee):
            raise self._refused(400, "From is not a valid number")
        if not self.owns(own):
            raise self._refused(400, "CallerId is not an ExoPhone of yours")
        flow = f"/{self.secrets['EXOTEL_ACCOUNT_SID']}/exoml/start_voice/"
        if not str(body.get("Url", "")).endswith(flow + self.secrets["EXOTEL_APP_ID"]):
            raise self._refused(400, "Url is not that of a flow")
        call = self.provider.place(
            own, callee, self.provider.flow_url, str(body.get("StatusCallback", ""))
        )
        return 200, self._shown(call)

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        return 200, self._shown(self.call(request, self._refused(404, "Call not found")))

    def _authenticate(self, request: web.Request) -> None:
        refused = self._refused(401, "Authentication failed")
        self.require_basic(request, "EXOTEL_API_KEY", "EXOTEL_API_TOKEN", refused)

    def _refused(self, status: int, message: str) -> Refused:
        return Refused(status, {"RestException": {"Status": status, "Message": message}})

    def _shown(self, call: Call) -> object:
        return {
            "Call": {
                "Sid": call.phone_call.id,
                "AccountSid": call.phone_call.account,
                "From": call.phone_call.called,
                "PhoneNumberSid": call.phone_call.caller,
                "Status": call.status,
                "Direction": "outbound-api" if call.phone_call.outbound else "inbound",
            }
        }

"""The REST APIs for calls, as each provider documents its own: paths, bodies, answers, refusals."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from voicecore.talk.telephone.call_control import AnswerRefused

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call, Provider

_E164 = re.compile(r"\+?[1-9]\d{6,14}")


class Refused(Exception):
    """The API's answer to a request that it does not follow."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


def add_routes(app: web.Application, provider: Provider) -> None:
    """The provider's API."""
    for method, path, answer in _APIS[provider.name](provider).routes():
        app.router.add_route(method, path, _handler(answer))


Answerer = Callable[[web.Request, Mapping[str, Any]], tuple[int, object]]
Route = tuple[str, str, Answerer]


def _handler(answer: Answerer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            status, body = answer(request, await _body(request))
        except Refused as refused:
            status, body = refused.status, refused.body
        return (
            web.Response(status=status) if body is None else web.json_response(body, status=status)
        )

    return handle


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        try:
            return dict(json.loads(await request.read() or b"{}"))
        except ValueError:
            return {}
    return dict(await request.post())


class Api:
    """What all five have in common."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.secrets = provider, provider.secrets

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def call(self, request: web.Request, missing: Refused) -> Call:
        found = self.provider.calls.get(request.match_info["call"])
        if found is None:
            raise missing
        return found

    def basic(self, request: web.Request, user: str, password: str, refused: Refused) -> None:
        told = base64.b64encode(f"{self.secrets[user]}:{self.secrets[password]}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {told}":
            raise refused

    def own(self, number: str) -> bool:
        """Whether the number is one of the account's."""
        return _digits(number) in map(_digits, self.secrets["PHONE_NUMBERS"].split(","))


def _digits(number: object) -> str:
    return str(number).removeprefix("+")


class Twilio(Api):
    """Calls resource, version 2010-04-01."""

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
        if not _E164.fullmatch(body["To"]):
            raise self._refused(400, 21211, f"Invalid 'To' Phone Number: {body['To']}")
        if not self.own(body.get("From", "")):
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
        what = request.path
        return self.call(
            request, self._refused(404, 20404, f"The requested resource {what} was not found")
        )

    def _authenticate(self, request: web.Request) -> None:
        refused = self._refused(401, 20003, "Authenticate")
        self.basic(request, "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", refused)

    def _refused(self, status: int, code: int, message: str) -> Refused:
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Refused(
            status, {"code": code, "message": message, "more_info": more, "status": status}
        )

    def _shown(self, call: Call, status: str) -> object:
        return {
            "sid": call.it.id,
            "account_sid": call.it.account,
            "from": call.it.caller,
            "to": call.it.called,
            "status": status,
            "direction": "outbound-api" if call.it.outbound else "inbound",
            "api_version": "2010-04-01",
        }


class Telnyx(Api):
    """TeXML calls, and Call Control for what goes on."""

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
        if not to.startswith("+") or not _E164.fullmatch(to):
            raise self._refused(422, "10016", "Phone number must be in +E164 format", to)
        if not self.own(caller):
            raise self._refused(403, "10010", "Authorization failed", f"{caller} is not yours")
        call = self.provider.place(
            caller, to, str(body.get("Url", "")), str(body.get("StatusCallback", ""))
        )
        return 200, {"from": caller, "to": to, "status": "queued", "call_sid": call.it.id}

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        known = {"record_type": "call", "call_control_id": call.it.id, "is_alive": call.alive}
        return 200, {"data": known}

    def hang_up(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        self.provider.end(self._living(request))
        return 200, {"data": {"result": "ok"}}

    def transfer(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call, to = self._living(request), str(body.get("to", ""))
        if not to.startswith("+") or not _E164.fullmatch(to):
            raise self._refused(422, "10016", "Phone number must be in +E164 format", to)
        self.provider.transfer(call, f"<Response><Dial>{to}</Dial></Response>")
        return 200, {"data": {"result": "ok"}}

    def _known(self, request: web.Request) -> Call:
        return self.call(request, self._refused(404, "10005", "Resource not found", request.path))

    def _living(self, request: web.Request) -> Call:
        call = self._known(request)
        if not call.alive:
            raise self._refused(422, "90018", "Call has already ended", "")
        return call

    def _authenticate(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {self.secrets['TELNYX_API_KEY']}":
            raise self._refused(401, "10009", "Authentication failed", "No key found matching")

    def _refused(self, status: int, code: str, title: str, detail: str) -> Refused:
        return Refused(status, {"errors": [{"code": code, "title": title, "detail": detail}]})


class Plivo(Api):
    """Call API, version 1."""

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
        if not _E164.fullmatch(str(body["to"])):
            raise self._refused(400, f"{body['to']} is not a valid phone number")
        if not self.own(str(body["from"])):
            raise self._refused(400, f"{body['from']} is not a number of yours")
        call = self.provider.place(
            f"+{_digits(body['from'])}",
            f"+{_digits(body['to'])}",
            str(body["answer_url"]),
            str(body.get("hangup_url", "")),
        )
        return 201, self._told(message="call fired", request_uuid=call.it.id)

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._living(request)
        return 200, self._told(
            call_uuid=call.it.id,
            call_status=call.status,
            direction="outbound" if call.it.outbound else "inbound",
            **{"from": call.it.caller, "to": call.it.called},
        )

    def transfer(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._living(request)
        if not body.get("aleg_url"):
            raise self._refused(400, "aleg_url parameter is mandatory")
        self.provider.transfer_by(call, str(body["aleg_url"]))
        return 202, self._told(message="call transferred", call_uuids=[call.it.id])

    def hang_up(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        self.provider.end(self._living(request))
        return 204, None

    def _living(self, request: web.Request) -> Call:
        call = self.call(request, self._refused(404, "call not found"))
        if not call.alive:
            raise self._refused(404, "call not found")
        return call

    def _authenticate(self, request: web.Request) -> None:
        refused = Refused(401, "Could not verify your access level for that URL.")
        self.basic(request, "PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN", refused)

    def _refused(self, status: int, error: str) -> Refused:
        return Refused(status, self._told(error=error))

    def _told(self, **told: object) -> dict[str, object]:
        return {"api_id": str(uuid.uuid4()), **told}


class Exotel(Api):
    """Calls, version 1: they are placed and looked at, and there is no more."""

    def routes(self) -> list[Route]:
        account = f"/v1/Accounts/{self.secrets['EXOTEL_ACCOUNT_SID']}"
        return [
            ("POST", f"{account}/Calls/connect.json", self.create),
            ("GET", account + "/Calls/{call}.json", self.get),
        ]

    def create(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        callee, own = str(body.get("From", "")), str(body.get("CallerId", ""))
        if not _E164.fullmatch(callee):
            raise self._refused(400, "From is not a valid number")
        if not self.own(own):
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
        self.basic(request, "EXOTEL_API_KEY", "EXOTEL_API_TOKEN", refused)

    def _refused(self, status: int, message: str) -> Refused:
        return Refused(status, {"RestException": {"Status": status, "Message": message}})

    def _shown(self, call: Call) -> object:
        return {
            "Call": {
                "Sid": call.it.id,
                "AccountSid": call.it.account,
                "From": call.it.called,
                "PhoneNumberSid": call.it.caller,
                "Status": call.status,
                "Direction": "outbound-api" if call.it.outbound else "inbound",
            }
        }


class Vonage(Api):
    """Voice API, version 1."""

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
        if to.startswith("+") or not _E164.fullmatch(to):
            raise self._refused(400, "to.number: digits in E.164 form, without a plus")
        if not self.own(caller):
            raise self._refused(400, "from.number is not yours")
        call = self.provider.place(f"+{_digits(caller)}", f"+{to}", answer_url, events)
        conversation = f"CON-{call.it.stream}"
        told = {"uuid": call.it.id, "status": "started", "direction": "outbound"}
        return 201, {**told, "conversation_uuid": conversation}

    def get(self, request: web.Request, body: Mapping[str, Any]) -> tuple[int, object]:
        self._authenticate(request)
        call = self._known(request)
        status = "answered" if call.status == "in-progress" else call.status
        return 200, {
            "uuid": call.it.id,
            "status": status,
            "direction": "outbound" if call.it.outbound else "inbound",
            "from": {"type": "phone", "number": _digits(call.it.caller)},
            "to": {"type": "phone", "number": _digits(call.it.called)},
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
        key = load_pem_private_key(self.secrets["VONAGE_PRIVATE_KEY"].encode(), None).public_key()
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"])
        except jwt.InvalidTokenError as error:
            raise self._refused(401, f"Unauthorized: {error}") from None
        known = self.secrets["VONAGE_APPLICATION_ID"]
        if kind != "Bearer" or claims.get("application_id") != known:
            raise self._refused(401, "Unauthorized: not this application")

    def _refused(self, status: int, detail: str) -> Refused:
        kind = "https://developer.vonage.com/api-errors"
        return Refused(status, {"type": kind, "title": "Refused", "detail": detail})


_APIS: Mapping[str, Callable[[Provider], Api]] = {
    "twilio": Twilio,
    "telnyx": Telnyx,
    "plivo": Plivo,
    "exotel": Exotel,
    "vonage": Vonage,
}

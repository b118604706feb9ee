"""The requests by which a provider asks a server what to do with a call: fields and proofs."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from voicecore.console.errors import VoicecoreError
from voicecore.talk.telephone import signatures
from voicecore.talk.telephone.media_frames import Stream
from voicecore.talk.telephone.signatures import Headers, Request

Credentials = Mapping[str, str]
"""A provider's variables by name, as the server has them."""

_SIGNING_KEY = "SIGNING_KEY"
"""Under this `voicecore dev` tells the private key that Telnyx keeps to itself."""
_TELNYX_ACCOUNT = "f5586561-8ff0-4291-a51b-c7dfe4139ff9"
"""The user id of Telnyx's own examples: no variable of a server tells one."""


class NoCredentials(VoicecoreError):
    """What a provider would prove itself by is not known."""

    def __init__(self, provider: str, variable: str) -> None:
        if variable == _SIGNING_KEY:
            super().__init__(
                "Only Telnyx itself can sign for the TELNYX_PUBLIC_KEY that is set.",
                "Take it out of server/.env while you develop: `voicecore dev` then makes up a "
                "pair for the run.",
            )
            return
        super().__init__(
            f"{variable} is not known, by which {provider.capitalize()} would sign its requests.",
            "A running `voicecore dev` of a project with this provider makes one up for the run;\n"
            f"with --url it is taken from the environment:  export {variable}=…",
        )


@dataclass(frozen=True)
class PhoneCall:
    """One call as its provider knows it; numbers are E.164."""

    provider: str
    account: str
    id: str
    stream: str
    caller: str
    called: str
    outbound: bool = False
    """Placed by the server, not by the caller."""

    def media(self, parameters: Mapping[str, str]) -> Stream:
        """Its media stream."""
        return Stream(self.account, self.id, self.stream, self.caller, self.called, parameters)


def new_call(
    provider: str,
    credentials: Credentials,
    caller: str,
    called: str,
    outbound: bool = False,
) -> PhoneCall:
    """A call with ids of its own. Raises NoCredentials."""
    account = _ACCOUNTS[provider]
    known = _value(provider, credentials, account) if account else _TELNYX_ACCOUNT
    call, stream = _IDS[provider]()
    return PhoneCall(provider, known, call, stream, caller, called, outbound)


def answer_request(call: PhoneCall, url: str) -> Request:
    """The request that asks what to do with the call."""
    status = "in-progress" if call.outbound else "ringing"
    method = "GET" if call.provider in ("exotel", "vonage") else "POST"
    return Request(method, url, _FIELDS[call.provider](call, status))


def status_request(call: PhoneCall, url: str, status: str) -> Request:
    """The request that tells what has become of the call, in the provider's own word for it."""
    return Request("POST", url, _FIELDS[call.provider](call, status), call.provider == "vonage")


def sign(call: PhoneCall, request: Request, credentials: Credentials, at: float) -> Headers:
    """The headers that prove the provider, at Unix time `at`. Raises NoCredentials."""

    def value(variable: str) -> str:
        return _value(call.provider, credentials, variable)

    match call.provider:
        case "twilio":
            return signatures.twilio(request, value("TWILIO_AUTH_TOKEN"))
        case "telnyx":
            return signatures.telnyx(request, base64.b64decode(value(_SIGNING_KEY)), at)
        case "plivo":
            return signatures.plivo(request, value("PLIVO_AUTH_TOKEN"), secrets.token_hex(16))
        case "exotel":
            return signatures.exotel(value("EXOTEL_API_KEY"), value("EXOTEL_API_TOKEN"))
        case _:
            return signatures.vonage(
                request, value("VONAGE_SIGNATURE_SECRET"), value("VONAGE_APPLICATION_ID"), at
            )


def sign_handshake(call: PhoneCall, url: str, credentials: Credentials, at: float) -> Headers:
    """The headers of the media socket's handshake; the other providers prove nothing there."""
    if call.provider not in ("twilio", "plivo"):
        return {}
    return sign(call, Request("GET", url, {}), credentials, at)


def _value(provider: str, credentials: Credentials, variable: str) -> str:
    if not credentials.get(variable):
        raise NoCredentials(provider, variable)
    return credentials[variable]


def _digits(number: str) -> str:
    return number.removeprefix("+")


def _twilio(call: PhoneCall, status: str) -> dict[str, str]:
    return {
        "AccountSid": call.account,
        "ApiVersion": "2010-04-01",
        "CallSid": call.id,
        "CallStatus": status,
        "Called": call.called,
        "Caller": call.caller,
        "Direction": "outbound-api" if call.outbound else "inbound",
        "From": call.caller,
        "To": call.called,
    }


def _telnyx(call: PhoneCall, status: str) -> dict[str, str]:
    return {
        "AccountSid": call.account,
        "CallControlId": call.id,
        "CallSid": call.id,
        "CallSidLegacy": call.id,
        "CallStatus": status,
        "ConnectionId": "1234567890",
        "Direction": "outbound-api" if call.outbound else "inbound",
        "From": call.caller,
        "To": call.called,
    }


def _plivo(call: PhoneCall, status: str) -> dict[str, str]:
    return {
        "ALegUUID": call.id,
        "CallStatus": status,
        "CallUUID": call.id,
        "Direction": "outbound" if call.outbound else "inbound",
        "Event": "Hangup" if status == "completed" else "StartApp",
        "From": _digits(call.caller),
        "ParentAuthID": call.account,
        "RequestUUID": call.id,
        "To": _digits(call.called),
    }


def _exotel(call: PhoneCall, status: str) -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "CallSid": call.id,
        "CallFrom": call.caller,
        "CallTo": call.called,
        "CallStatus": status,
        "Direction": "outbound-dial" if call.outbound else "incoming",
        "Created": now,
        "From": call.caller,
        "To": call.called,
        "CurrentTime": now,
    }


def _vonage(call: PhoneCall, status: str) -> dict[str, str]:
    told = {
        "from": _digits(call.caller),
        "to": _digits(call.called),
        "uuid": call.id,
        "conversation_uuid": f"CON-{call.stream}",
    }
    if status in ("ringing", "in-progress"):  # the answer webhook tells no status
        return {**told, "region_url": "https://api-us-3.vonage.com", "endpoint_type": "phone"}
    return {**told, "status": status, "direction": "outbound" if call.outbound else "inbound"}


_FIELDS: Mapping[str, Callable[[PhoneCall, str], dict[str, str]]] = {
    "twilio": _twilio,
    "telnyx": _telnyx,
    "plivo": _plivo,
    "exotel": _exotel,
    "vonage": _vonage,
}

_ACCOUNTS = {
    "twilio": "TWILIO_ACCOUNT_SID",
    "telnyx": "",
    "plivo": "PLIVO_AUTH_ID",
    "exotel": "EXOTEL_ACCOUNT_SID",
    "vonage": "VONAGE_APPLICATION_ID",
}
"""The variable that names the account."""

_IDS: Mapping[str, Callable[[], tuple[str, str]]] = {
    "twilio": lambda: (f"CA{secrets.token_hex(16)}", f"MZ{secrets.token_hex(16)}"),
    "telnyx": lambda: (f"v3:{secrets.token_urlsafe(40)}", str(uuid.uuid4())),
    "plivo": lambda: (str(uuid.uuid4()), str(uuid.uuid4())),
    "exotel": lambda: (secrets.token_hex(16), secrets.token_hex(16)),
    "vonage": lambda: (str(uuid.uuid4()), str(uuid.uuid4())),
}
"""New ids of a call and its stream, as they look there."""

"""Exotel: the Voicebot applet, which requests the URL of its media socket.

https://support.exotel.com/support/solutions/articles/3000108630
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

from ...api_errors import ApiError
from ...settings import Reader
from ..phone_audio import Format
from ..provider import (
    Answer,
    ApiCall,
    BadStart,
    Call,
    Fields,
    Forged,
    Frame,
    JsonFrames,
    Signed,
    Stream,
    Webhook,
    api_root,
    basic,
    document,
    inner,
    number,
)


@dataclass(frozen=True)
class Exotel(JsonFrames):
    """An account at Exotel; `app_id` is the ID of the flow with the Voicebot applet."""

    account_sid: str
    api_key: str
    api_token: str
    app_id: str = ""
    api: str = "https://api.exotel.com"

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the credentials from the environment."""
        return cls(
            reader.required("EXOTEL_ACCOUNT_SID"),
            reader.required("EXOTEL_API_KEY"),
            reader.required("EXOTEL_API_TOKEN"),
            reader.text("EXOTEL_APP_ID"),
            api_root(reader, "exotel", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> Signed:
        """Check the key and token, which are in the URL configured at Exotel. Raises Forged.

        Exotel does not sign requests.
        """
        sent = webhook.headers.get("authorization", "")
        right = basic(self.api_key, self.api_token)
        if not hmac.compare_digest(sent.encode(), right.encode()):
            raise Forged("its key or token is wrong" if sent else "it has no key")
        return Signed(webhook.parameters)

    def incoming_call(self, fields: Fields) -> Call:
        """Return the call that a webhook is about."""
        caller, called = (fields.get(f"Call{n}") or fields.get(n, "") for n in ("From", "To"))
        return Call(fields.get("CallSid", ""), caller, called)

    def connect_answer(self, call: Call, media_url: str) -> Answer:
        """Return the URL of the applet's media socket."""
        return Answer("application/json", json.dumps({"url": media_url}))

    def reject_answer(self) -> Answer:
        """Return an error: the applet fails, and the flow continues."""
        return Answer("application/json", json.dumps({"error": "unknown number"}), 404)

    def dial_answer(self, number: str) -> Answer:
        """Raise ApiError: only the flow can transfer a call."""
        raise ApiError(422, "not_offered", "At Exotel, only the flow can transfer a call.")

    def call_status(self, fields: Fields) -> tuple[str, str]:
        """Return the call's ID and its status."""
        return fields.get("CallSid", ""), fields.get("Status", "")

    def stream_start(self, frame: Frame) -> Stream | None:
        """Return the stream of `start`; None for `connected` before it. Raises BadStart."""
        message = document(frame)
        if message.get("event") == "connected":
            return None
        start = inner(message, "start")
        if message.get("event") != "start" or start.get("account_sid") != self.account_sid:
            raise BadStart("neither `connected` nor a `start` of this account")
        format = inner(start, "media_format")
        # 16-bit samples, whose name has changed over the years, unless μ-law is configured.
        name = str(format.get("encoding"))[:40]
        encoding = name if "law" in name.lower() else "pcm"
        heard = Format(encoding, number(format.get("sample_rate")))
        played = heard if heard.is_known else Format("pcm", 8000)
        return Stream(str(start.get("stream_sid")), str(start.get("call_sid")), heard, played)

    def audio_frame(self, stream: Stream, audio: bytes) -> Frame:
        """Return a message that plays this audio."""
        payload = base64.b64encode(audio).decode()
        return json.dumps(
            {"event": "media", "stream_sid": stream.id, "media": {"payload": payload}}
        )

    def mark(self, stream: Stream, name: str) -> Frame:
        """Return a message that comes back when all audio before it was played."""
        return json.dumps({"event": "mark", "stream_sid": stream.id, "mark": {"name": name}})

    def place_request(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Return the request that calls a number and connects the flow. Raises ApiError."""
        if not self.app_id:
            raise ApiError(422, "no_app", "To place calls, set EXOTEL_APP_ID.")
        flow = f"http://my.exotel.com/{self.account_sid}/exoml/start_voice/{self.app_id}"
        form = {"From": to, "CallerId": caller, "Url": flow, "StatusCallback": status_url}
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._account}/Calls/connect.json"
        return ApiCall("POST", url, headers, urlencode(form).encode())

    def placed_call_id(self, document: dict[str, Any]) -> str:
        """Return the ID of the placed call."""
        return str(document["Call"]["Sid"])

    def status_request(self, call_id: str) -> ApiCall:
        """Return the request for a call's status."""
        url = f"{self._account}/Calls/{quote(call_id, safe='')}.json"
        return ApiCall("GET", url, self._headers)

    def status_in(self, document: dict[str, Any]) -> str:
        """Return the status from the API's answer."""
        return str(document["Call"]["Status"])

    def hang_up_request(self, call_id: str) -> None:
        """Return None: when its media socket closes, the flow continues to its end."""

    def transfer_request(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """Raise ApiError: only the flow can transfer a call."""
        raise ApiError(422, "not_offered", "At Exotel, only the flow can transfer a call.")

    @property
    def _account(self) -> str:
        return f"{self.api}/v1/Accounts/{self.account_sid}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": basic(self.api_key, self.api_token)}

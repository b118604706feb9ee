"""Exotel: the Voicebot applet, which asks for the address of its media socket.

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
from ..provider import (
    Answer,
    ApiCall,
    BadStart,
    Call,
    Forged,
    Frame,
    JsonFrames,
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
    """An account of Exotel's; `app_id` is that of the flow with the Voicebot applet."""

    account_sid: str
    api_key: str
    api_token: str
    app_id: str = ""
    api: str = "https://api.exotel.com"
    encoding: str = "pcm"
    rate: int = 8000

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """By the environment."""
        return cls(
            reader.needed("EXOTEL_ACCOUNT_SID"),
            reader.needed("EXOTEL_API_KEY"),
            reader.needed("EXOTEL_API_TOKEN"),
            reader.text("EXOTEL_APP_ID"),
            api_root(reader, "exotel", cls.api),
        )

    def check(self, webhook: Webhook, now: float) -> str:
        """Raise Forged unless it shows key and token, which are in the address given to Exotel.

        Exotel signs nothing.
        """
        sent = webhook.headers.get("authorization", "")
        right = basic(self.api_key, self.api_token)
        if not hmac.compare_digest(sent.encode(), right.encode()):
            raise Forged("its key or token is wrong" if sent else "it shows no key")
        return ""

    def incoming(self, webhook: Webhook) -> Call:
        """The call that it asks about."""
        caller = webhook.text("CallFrom") or webhook.text("From")
        return Call(webhook.text("CallSid"), caller, webhook.text("CallTo") or webhook.text("To"))

    def answer(self, call: Call, media_url: str) -> Answer:
        """Where the applet finds its media socket."""
        return Answer("application/json", json.dumps({"url": media_url}))

    def reject(self) -> Answer:
        """Without a socket, the applet fails and the flow goes on."""
        return Answer("application/json", json.dumps({"error": "unknown number"}), 404)

    def dial(self, number: str) -> Answer:
        """It is the flow that connects calls to others. Raises ApiError."""
        raise ApiError(422, "not_offered", "Exotel transfers calls by its flow alone.")

    def state(self, webhook: Webhook) -> tuple[str, str]:
        """The call that a status is about, and the status."""
        return webhook.text("CallSid"), webhook.text("Status")

    def started(self, frame: Frame) -> Stream | None:
        """The stream that `start` begins, after `connected`. Raises BadStart."""
        said = document(frame)
        if said.get("event") == "connected":
            return None
        start = inner(said, "start")
        if said.get("event") != "start" or start.get("account_sid") != self.account_sid:
            raise BadStart("neither `connected` nor a `start` of this account")
        format = inner(start, "media_format")
        # Samples of 16 bits, whose name has changed over the years; unless μ-law is chosen.
        encoding = "unknown" if "law" in str(format.get("encoding")).lower() else "pcm"
        return Stream(
            str(start.get("stream_sid")),
            str(start.get("call_sid")),
            encoding,
            number(format.get("sample_rate")),
        )

    def say(self, stream: Stream, sound: bytes) -> Frame:
        """A message that plays this sound."""
        payload = base64.b64encode(sound).decode()
        return json.dumps(
            {"event": "media", "stream_sid": stream.id, "media": {"payload": payload}}
        )

    def mark(self, stream: Stream, name: str) -> Frame:
        """A message that comes back when all before it has been played."""
        return json.dumps({"event": "mark", "stream_sid": stream.id, "mark": {"name": name}})

    def place(self, caller: str, to: str, answer_url: str, status_url: str) -> ApiCall:
        """Call a number, and lead who answers into the flow. Raises ApiError."""
        if not self.app_id:
            raise ApiError(422, "no_app", "To call, the server needs EXOTEL_APP_ID.")
        flow = f"http://my.exotel.com/{self.account_sid}/exoml/start_voice/{self.app_id}"
        form = {"From": to, "CallerId": caller, "Url": flow, "StatusCallback": status_url}
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._account}/Calls/connect.json"
        return ApiCall("POST", url, headers, urlencode(form).encode())

    def placed(self, document: dict[str, Any]) -> str:
        """The id of the call that was placed."""
        return str(document["Call"]["Sid"])

    def look(self, call_id: str) -> ApiCall:
        """How the call is."""
        url = f"{self._account}/Calls/{quote(call_id, safe='')}.json"
        return ApiCall("GET", url, self._headers)

    def seen(self, document: dict[str, Any]) -> str:
        """That, in Exotel's word."""
        return str(document["Call"]["Status"])

    def hang_up(self, call_id: str) -> None:
        """When its media socket closes, the flow goes on, to its end."""

    def transfer(self, call_id: str, number: str, dial_url: str) -> ApiCall:
        """It is the flow that connects calls to others. Raises ApiError."""
        raise ApiError(422, "not_offered", "Exotel transfers calls by its flow alone.")

    @property
    def _account(self) -> str:
        return f"{self.api}/v1/Accounts/{self.account_sid}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": basic(self.api_key, self.api_token)}

"""The Daily transport: each call has a room at Daily, which the agent joins.

POST /start creates a room for a browser. Daily calls POST /daily/dialin when somebody dials your
number or SIP address; POST /daily/calls makes the agent call a phone. Rooms and tokens come from
Daily's REST API, with DAILY_API_KEY.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from . import logs
from .access import SESSION_SECONDS, Access, Session
from .agent_request import request_agent
from .agentcore import AgentCore
from .api_errors import ApiError
from .proxies import proxy_for

API = "https://api.daily.co/v1"
KEY = "DAILY_API_KEY"
SECRET = "DAILY_DIALIN_HMAC"
NUMBERS = "PHONE_NUMBERS"
API_SECONDS = 10

STATUSES = {"bad_room": 422, "no_room": 503, "no_key": 503, "no_dialout": 502}
"""HTTP status by the agent's error code."""

# Maximum age of a webhook: more than a slow network needs, too little for a replay.
FRESH_SECONDS = 300
# Daily sends its time in ms, or in seconds, which have this many digits until 2286.
SECONDS_DIGITS = 10

# Its length is limited apart: counted repetitions of Unicode's classes take 13 MB and 50 ms.
PHONE, PHONE_LENGTH = r"^(\+[1-9][0-9]{6,14}|sips?:[^\s@]+@[\w.:-]+([;?][^\s]*)?)$", 300

Admit = Callable[[str, str], AbstractAsyncContextManager[Session]]
Once = Callable[[str], Awaitable[bool]]


class DialOutRequest(BaseModel):
    """The phone that the agent calls: a number like +14155550123, or a SIP address."""

    to: str = Field(
        pattern=PHONE,
        max_length=PHONE_LENGTH,
        examples=["+14155550123", "sip:desk@example.com"],
    )
    callerId: str | None = Field(
        default=None, max_length=100, description="ID of your number that the phone shows."
    )


class StartedCall(BaseModel):
    """A started call. DELETE /sessions/<sessionId> with its token hangs up."""

    sessionId: str
    token: str
    transport: str


class DialInWebhook(BaseModel):
    """A caller that Daily holds, and the number or address that was dialed."""

    From: str = Field(default="", max_length=300)
    To: str = Field(default="", max_length=300)
    callId: str = Field(min_length=1, max_length=100)
    callDomain: str = Field(min_length=1, max_length=100)


async def start(agentcore: AgentCore, session_id: str) -> dict[str, Any]:
    """Return what a browser needs to enter the session's room, which the agent has joined."""
    url, token = await hold(agentcore, session_id, {}, {})
    return {"roomUrl": url, "roomToken": token}


async def leave(session: Session) -> None:
    """Close the session's room, if it has one; an empty transport is not known."""
    if session.transport in ("daily", ""):
        await close_room(session.id)


async def close_room(session_id: str) -> None:
    """Close the session's room, which removes everyone in it; log a failure."""
    try:
        await daily("DELETE", f"/rooms/{room_of(session_id)}")
    except ApiError as error:
        logs.write("room_not_closed", session_id, level="WARNING", code=error.code)


def router_for_service(
    agentcore: AgentCore,
    access: Access,
    admit: Admit,
    once: Once,
    require_key: Callable[..., Awaitable[None]],
) -> APIRouter:
    """Return the routes of phone calls, in and out."""
    routes = APIRouter(prefix="/daily")

    @routes.post("/dialin")
    async def dialin(request: Request) -> dict[str, str]:
        """Answer Daily's `room_creation_api`: the caller hears music until the agent joins."""
        body = await request.body()
        document = parsed(body)
        # Daily sends a test when the number is set up, before it has sent the secret. It starts
        # nothing.
        if "test" in {name.lower() for name in document}:
            return {"status": "ok"}
        require_signature(request.headers, body, time.time())
        call = parse_call(document)
        if not await once(f"dialin-{call.callId}"):
            raise ApiError(401, "replayed", "This call has already arrived.")
        sip = {
            "display_name": call.From or "caller",
            "sip_mode": "dial-in",
            "num_endpoints": 1,
            "video": False,
        }
        dialin = {"call_id": call.callId, "call_domain": call.callDomain}
        async with admit(access.alias("phone", call.From), "daily") as session:
            await hold(agentcore, session.id, {"sip": sip}, {"dialin": dialin})
        return {"status": "ok", "sessionId": session.id}

    @routes.post("/calls", dependencies=[Depends(require_key)])
    async def call_out(body: DialOutRequest) -> StartedCall:
        """Make the agent call a phone; it speaks when the phone is answered."""
        dialout = {"phoneNumber" if body.to.startswith("+") else "sipUri": body.to}
        if body.callerId:
            dialout["callerId"] = body.callerId
        async with admit(access.alias("phone", body.to), "daily") as session:
            await hold(agentcore, session.id, {"enable_dialout": True}, {"dialout": dialout})
        token = access.token_for(session)
        return StartedCall(sessionId=session.id, token=token, transport=session.transport)

    return routes


async def hold(
    agentcore: AgentCore, session_id: str, properties: dict[str, Any], more: dict[str, Any]
) -> tuple[str, str]:
    """Make the agent join the session's room; return its URL, and a token for one caller.

    `properties` are the room's, `more` is for the agent. Raises ApiError, and leaves no room.
    """
    url = await create_room(session_id, properties)
    try:
        agents, callers = await asyncio.gather(
            create_token(session_id, is_owner=True), create_token(session_id, is_owner=False)
        )
        data = {"room_url": url, "token": agents, **more}
        await request_agent(agentcore, session_id, "join", data, STATUSES)
    except BaseException:
        await close_room(session_id)
        raise
    return url, callers


def room_of(session_id: str) -> str:
    """Return the name of the session's room: the same in all copies of the server, and no ID."""
    return f"call-{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"


async def create_room(session_id: str, properties: Mapping[str, Any]) -> str:
    """Return the URL of the session's room, which needs a token to enter. Raises ApiError."""
    name = room_of(session_id)
    all_properties = {
        "exp": int(time.time()) + SESSION_SECONDS,
        "eject_at_room_exp": True,
        "start_video_off": True,
        **properties,
    }
    body = {"name": name, "privacy": "private", "properties": all_properties}
    answer = await daily("POST", "/rooms", body, existing=f"/rooms/{name}")
    return text_in(answer, "url")


async def create_token(session_id: str, is_owner: bool) -> str:
    """Return a token for the session's room; an owner's may dial out. Raises ApiError."""
    properties = {
        "room_name": room_of(session_id),
        "exp": int(time.time()) + SESSION_SECONDS,
        "is_owner": is_owner,
    }
    return text_in(await daily("POST", "/meeting-tokens", {"properties": properties}), "token")


def text_in(answer: dict[str, Any], name: str) -> str:
    """Return a text field of an answer. Raises ApiError."""
    if not isinstance(text := answer.get(name), str):
        raise ApiError(502, "daily_refused", f"Daily's answer has no {name}.")
    return text


async def daily(
    method: str, path: str, body: dict[str, Any] | None = None, existing: str = ""
) -> dict[str, Any]:
    """Return the answer of the Daily REST API; if the object exists, return that of `existing`.

    Raises ApiError.
    """
    # Only for its own calls: it takes 0.1 s to import, for which the first caller would wait.
    import aiohttp

    key = os.environ.get(KEY)
    if not key:
        raise ApiError(503, "no_daily_key", f"{KEY} is not set on the server.")
    url = (os.environ.get("DAILY_API_URL") or API).rstrip("/")
    timeout = aiohttp.ClientTimeout(total=API_SECONDS)
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
            http.request(method, url + path, json=body, proxy=proxy_for(url)) as answer,
        ):
            status, document = answer.status, parsed(await answer.read())
    except TimeoutError as error:
        raise ApiError(504, "daily_timeout", "Daily did not answer in time.") from error
    except aiohttp.ClientError as error:
        raise ApiError(503, "daily_unreachable", "Daily cannot be reached.", 2) from error
    if status == 200:
        return document
    info = str(document.get("info"))
    if existing and status == 400 and "already exists" in info:
        return await daily("GET", existing)
    logs.write("daily_refused", level="ERROR", status=status, path=path, info=info[:300])
    if status == 429:
        raise ApiError(503, "daily_busy", "Daily is busy.", 2)
    if status in (401, 403):
        raise ApiError(503, "daily_key_refused", f"Daily rejected the server's {KEY}.")
    raise ApiError(502, "daily_refused", "Daily refused the request; see the server's log.")


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`. Raises ApiError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(422, "bad_request", "The body is not JSON.") from error
    if not isinstance(document, dict):
        raise ApiError(422, "bad_request", "The body is not a JSON object.")
    return document


def parse_call(document: Mapping[str, Any]) -> DialInWebhook:
    """Return the call of a webhook. Raises ApiError."""
    try:
        call = DialInWebhook.model_validate(document)
    except ValueError as error:
        message = "A call has From, To, callId and callDomain."
        raise ApiError(422, "bad_request", message) from error
    ours = [number.strip() for number in os.environ.get(NUMBERS, "").split(",") if number.strip()]
    if ours and call.To.startswith("+") and call.To not in ours:
        raise ApiError(404, "unknown_number", f"The dialed number is not in {NUMBERS}.")
    return call


def require_signature(headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise ApiError unless Daily has signed this recently."""
    try:
        key = base64.b64decode(os.environ.get(SECRET, ""), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ApiError(503, "no_dialin", f"{SECRET} is not set on the server, or is not base64.")
    sent = headers.get("X-Pinless-Timestamp", "")
    digest = hmac.digest(key, sent.encode() + b"." + body, hashlib.sha256)
    signature = headers.get("X-Pinless-Signature", "")
    if not hmac.compare_digest(base64.b64encode(digest), signature.encode()):
        raise ApiError(401, "unauthorized", "The signature is not Daily's.")
    seconds = int(sent[:SECONDS_DIGITS]) if re.fullmatch("[0-9]{10,13}", sent) else 0
    if abs(now - seconds) > FRESH_SECONDS:
        raise ApiError(401, "unauthorized", "The signature is too old.")

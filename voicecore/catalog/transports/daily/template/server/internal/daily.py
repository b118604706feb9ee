"""How callers reach the agent through Daily: each call has a room, which the agent joins.

POST /start makes a room for a browser. Daily itself calls POST /daily/dialin for whoever has
dialled a number or a SIP address of yours, and POST /daily/calls lets the agent call somebody.
Rooms and tokens are made by Daily's REST API, with DAILY_API_KEY.
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
from typing import Any

import aiohttp
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from . import logs
from .access import SESSION_SECONDS, Access, Session
from .agent_request import ask
from .agentcore import AgentCore
from .api_errors import ApiError

API = "https://api.daily.co/v1"
KEY = "DAILY_API_KEY"
SECRET = "DAILY_DIALIN_HMAC"
NUMBERS = "PHONE_NUMBERS"
SECONDS = 10

STATUSES = {"bad_room": 422, "no_room": 503, "no_key": 503, "no_dialout": 502}
"""The status of what the agent refuses."""

# How old a call of Daily's may be: more than a slow network takes, less than a thief has.
FRESH_SECONDS = 300
# Daily has been seen to give its time in ms; in seconds it has so many digits until 2286.
SECONDS_DIGITS = 10

PHONE = r"^(\+[1-9][0-9]{6,14}|sips?:[^\s@]{1,64}@[\w.:-]{1,128}([;?][^\s]{0,200})?)$"

Admit = Callable[[str, str], Awaitable[Session]]
Once = Callable[[str], Awaitable[bool]]


class Call(BaseModel):
    """Whom the agent is to call: a number as +14155550123, or a SIP address."""

    to: str = Field(pattern=PHONE, examples=["+14155550123", "sip:desk@example.com"])
    callerId: str | None = Field(
        default=None, max_length=100, description="Id of the number of yours that is shown."
    )


class Called(BaseModel):
    """A call that has begun. DELETE /sessions/<sessionId> with its token hangs up."""

    sessionId: str
    token: str
    transport: str


class DialIn(BaseModel):
    """Somebody whom Daily holds, and the number or address that they have dialled."""

    From: str = Field(default="", max_length=300)
    To: str = Field(default="", max_length=300)
    callId: str = Field(min_length=1, max_length=100)
    callDomain: str = Field(min_length=1, max_length=100)


async def start(agentcore: AgentCore, session_id: str) -> dict[str, Any]:
    """What a browser needs to enter the session's room, in which the agent is by now."""
    url, token = await hold(agentcore, session_id, {}, {})
    return {"roomUrl": url, "roomToken": token}


async def end(session_id: str) -> None:
    """Close the session's room: whoever is still in it leaves. What goes wrong is in the log."""
    try:
        await daily("DELETE", f"/rooms/{room_of(session_id)}")
    except ApiError as error:
        logs.write("room_not_closed", session_id, level="WARNING", code=error.code)


def doors(
    agentcore: AgentCore,
    access: Access,
    admit: Admit,
    once: Once,
    keyholder: Callable[..., Awaitable[None]],
) -> APIRouter:
    """The routes that calls by telephone take, in and out."""
    routes = APIRouter(prefix="/daily")

    @routes.post("/dialin")
    async def dialin(request: Request) -> dict[str, str]:
        """Daily's `room_creation_api`: somebody has dialled, and hears music until we are there."""
        body = await request.body()
        known = parsed(body)
        # Daily asks once whether we are here, when the number is set up: before it has told the
        # secret. Nothing comes of it.
        if "test" in {name.lower() for name in known}:
            return {"status": "ok"}
        require_signature(request.headers, body, time.time())
        call = call_in(known)
        if not await once(f"dialin-{call.callId}"):
            raise ApiError(401, "replayed", "This call has come in before.")
        session = await admit(access.alias("phone", call.From), "daily")
        sip = {
            "display_name": call.From or "caller",
            "sip_mode": "dial-in",
            "num_endpoints": 1,
            "video": False,
        }
        told = {"call_id": call.callId, "call_domain": call.callDomain}
        await hold(agentcore, session.id, {"sip": sip}, {"dialin": told})
        return {"status": "ok", "sessionId": session.id}

    @routes.post("/calls", dependencies=[Depends(keyholder)])
    async def call_out(body: Call) -> Called:
        """Let the agent call somebody; it speaks when they have picked up."""
        session = await admit(access.alias("phone", body.to), "daily")
        whom = {"phoneNumber" if body.to.startswith("+") else "sipUri": body.to}
        if body.callerId:
            whom["callerId"] = body.callerId
        await hold(agentcore, session.id, {"enable_dialout": True}, {"dialout": whom})
        token = access.token_for(session)
        return Called(sessionId=session.id, token=token, transport=session.transport)

    return routes


async def hold(
    agentcore: AgentCore, session_id: str, properties: dict[str, Any], more: dict[str, Any]
) -> tuple[str, str]:
    """Let the agent join the session's room; returns its URL, and a token for one who calls.

    `properties` are the room's own, `more` is for the agent. Raises ApiError, and leaves no room.
    """
    url = await make_room(session_id, properties)
    try:
        agents, callers = await asyncio.gather(
            make_token(session_id, is_owner=True), make_token(session_id, is_owner=False)
        )
        data = {"room_url": url, "token": agents, **more}
        await ask(agentcore, session_id, "join", data, STATUSES)
    except BaseException:
        await end(session_id)
        raise
    return url, callers


def room_of(session_id: str) -> str:
    """The name of the session's room: each copy of the server knows it, and it tells no id."""
    return f"call-{hashlib.sha256(session_id.encode()).hexdigest()[:32]}"


async def make_room(session_id: str, properties: Mapping[str, Any]) -> str:
    """The URL of the session's room, which nobody enters without a token. Raises ApiError."""
    name = room_of(session_id)
    wanted = {
        "exp": int(time.time()) + SESSION_SECONDS,
        "eject_at_room_exp": True,
        "start_video_off": True,
        **properties,
    }
    body = {"name": name, "privacy": "private", "properties": wanted}
    answer = await daily("POST", "/rooms", body, or_else=f"/rooms/{name}")
    return text_in(answer, "url")


async def make_token(session_id: str, is_owner: bool) -> str:
    """A token for the session's room; an owner's may call out. Raises ApiError."""
    wanted = {
        "room_name": room_of(session_id),
        "exp": int(time.time()) + SESSION_SECONDS,
        "is_owner": is_owner,
    }
    return text_in(await daily("POST", "/meeting-tokens", {"properties": wanted}), "token")


def text_in(answer: dict[str, Any], name: str) -> str:
    """What Daily has made. Raises ApiError."""
    if not isinstance(text := answer.get(name), str):
        raise ApiError(502, "daily_refused", f"Daily's answer has no {name}.")
    return text


async def daily(
    method: str, path: str, body: dict[str, Any] | None = None, or_else: str = ""
) -> dict[str, Any]:
    """What Daily's REST API answers; `or_else` names what may be there already. Raises ApiError."""
    key = os.environ.get(KEY)
    if not key:
        raise ApiError(503, "no_daily_key", f"The server has no {KEY}.")
    url = (os.environ.get("DAILY_API_URL") or API).rstrip("/")
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
            http.request(method, url + path, json=body) as answer,
        ):
            status, document = answer.status, parsed(await answer.read())
    except TimeoutError as error:
        raise ApiError(504, "daily_timeout", "Daily did not answer in time.") from error
    except aiohttp.ClientError as error:
        raise ApiError(503, "daily_unreachable", "Daily cannot be reached.", 2) from error
    if status == 200:
        return document
    info = str(document.get("info"))
    if or_else and status == 400 and "already exists" in info:
        return await daily("GET", or_else)
    logs.write("daily_refused", level="ERROR", status=status, path=path, info=info[:300])
    if status == 429:
        raise ApiError(503, "daily_busy", "Daily is busy.", 2)
    if status in (401, 403):
        raise ApiError(503, "daily_key_refused", f"Daily does not take the server's {KEY}.")
    raise ApiError(502, "daily_refused", "Daily refused the request; the server's log says why.")


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(422, "bad_request", "This is no JSON.") from error
    if not isinstance(document, dict):
        raise ApiError(422, "bad_request", "This is no JSON object.")
    return document


def call_in(known: Mapping[str, Any]) -> DialIn:
    """The call that Daily tells of. Raises ApiError."""
    try:
        call = DialIn.model_validate(known)
    except ValueError as error:
        raise ApiError(422, "bad_request", "A call has From, To, callId, callDomain.") from error
    ours = [number.strip() for number in os.environ.get(NUMBERS, "").split(",") if number.strip()]
    if ours and call.To.startswith("+") and call.To not in ours:
        raise ApiError(404, "unknown_number", f"{NUMBERS} does not name the number dialled.")
    return call


def require_signature(headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise ApiError unless Daily has signed this, just now."""
    try:
        key = base64.b64decode(os.environ.get(SECRET, ""), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ApiError(503, "no_dialin", f"The server has no {SECRET}, or one that is not base64.")
    sent = headers.get("X-Pinless-Timestamp", "")
    digest = hmac.digest(key, sent.encode() + b"." + body, hashlib.sha256)
    signature = headers.get("X-Pinless-Signature", "")
    if not hmac.compare_digest(base64.b64encode(digest), signature.encode()):
        raise ApiError(401, "unauthorized", "Daily has not signed this.")
    seconds = int(sent[:SECONDS_DIGITS]) if re.fullmatch("[0-9]{10,13}", sent) else 0
    if abs(now - seconds) > FRESH_SECONDS:
        raise ApiError(401, "unauthorized", "This was signed too long ago.")

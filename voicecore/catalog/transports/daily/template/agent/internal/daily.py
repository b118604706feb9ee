"""The Daily transport: a request to /invocations names a room, and the agent joins it.

AgentCore ends a response after 60 minutes, and a session after 8 hours. So a call is not part of
the answer to its request: it is a task of its own, which keeps the session busy until it ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipecat.transports.daily.transport import DailyDialinSettings, DailyParams, DailyTransport

from . import ipv6_relay, logs, session_stop
from .conversation import Conversation
from .sound_input import HeardTransport

if TYPE_CHECKING:
    from .app import Agent

NAME = "Agent"
API = "https://api.daily.co/v1"
KEY = "DAILY_API_KEY"

# From the request until the agent is in the room: Daily's library gives up after 19 s.
JOIN_SECONDS = 25
# For the expected caller to enter the room, or to answer the phone.
COMPANY_SECONDS = float(os.environ.get("COMPANY_SECONDS", "90"))
# For the last caller to return, as after reloading the page.
GRACE_SECONDS = 1
URL_CHARACTERS = 300
DIALIN = {"call_id", "call_domain"}
DIALOUT = {"phoneNumber", "sipUri", "callerId"}


class JoinRefused(Exception):
    """The agent does not join, with a code for programs and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class JoinRequest:
    """The room to join, and the phone call to connect, if there is one."""

    url: str
    token: str
    dialin: DailyDialinSettings | None = None
    """The caller that Daily holds until the agent is in the room."""
    dialout: Mapping[str, str] | None = None
    """The phone to call, as `start_dialout` takes it: phoneNumber or sipUri."""


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer requests to join a room with the conversation, in the background."""
    agent.requests["join"] = Rooms(agent, conversation).join


class Room(HeardTransport, DailyTransport):
    """Pipecat's transport, in a room from its first caller to its last."""

    # A conversation ends when the last caller leaves, not when any caller does.
    _RENAMED_EVENTS = {
        "on_client_connected": "on_first_participant_joined",
        "on_client_disconnected": "on_over",
    }

    def __init__(self, request: JoinRequest) -> None:
        params = DailyParams(
            api_url=os.environ.get("DAILY_API_URL") or API,
            api_key=os.environ.get(KEY, ""),
            dialin_settings=request.dialin,
            audio_in_enabled=True,
            # All callers in one stream: separate streams would be heard one after the other.
            audio_in_user_tracks=False,
            audio_out_enabled=True,
        )
        super().__init__(request.url, request.token, NAME, params)
        self._register_event_handler("on_over")
        self._callers: set[str] = set()
        self._waiting: asyncio.TimerHandle | None = None
        """Ends the call if no caller comes; None while a caller is present."""
        self._leaving: asyncio.Task[None] | None = None
        self.is_over = False
        self.entering: asyncio.Task[None]
        """Done when the agent is in the room and has placed its phone call."""
        self._joined: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Error of joining; empty when the agent has joined."""

    def use_ice(self, config: dict[str, Any]) -> None:
        """Use these TURN servers; Pipecat has no setting for them."""
        self._client._client.set_ice_config(config)  # pyright: ignore - private, and untyped

    async def joined(self, holding: asyncio.Task[None]) -> None:
        """Wait until the agent is in the room; `holding` joins it. Raises JoinRefused."""
        known = {holding, self._joined}
        await asyncio.wait(known, timeout=JOIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._joined.done() and not self._joined.result():
            return
        if self._joined.done():
            raise JoinRefused("no_room", f"The agent cannot join the room: {self._joined.result()}")
        if not holding.done():
            raise JoinRefused("no_room", f"The agent did not join the room in {JOIN_SECONDS} s.")
        error = holding.exception()
        reason = error or "the conversation ended first"
        raise JoinRefused("no_room", f"The agent cannot join the room: {reason}") from error

    def expect(self, seconds: float, reason: str) -> None:
        """End the call for `reason` unless a caller comes within this time."""
        loop = asyncio.get_running_loop()
        self.stop_expecting()

        def nobody_came() -> None:
            self._leaving = loop.create_task(self.over(reason))

        self._waiting = loop.call_later(seconds, nobody_came)

    def stop_expecting(self) -> None:
        """Stop waiting for a caller."""
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None

    async def over(self, reason: str) -> None:
        """End the call."""
        self.stop_expecting()
        if not self.is_over:
            self.is_over = True
            logs.write("room_left", reason=reason)
            await self._call_event_handler("on_over", None)

    def add_event_handler(self, event_name: str, handler: Any) -> None:
        """Register the handler for what the event means in a room with several callers."""
        super().add_event_handler(self._RENAMED_EVENTS.get(event_name, event_name), handler)

    async def _on_joined(self, data: Any) -> None:
        await super()._on_joined(data)
        if not self._joined.done():
            self._joined.set_result("")

    async def _on_error(self, error: Any) -> None:
        await super()._on_error(error)
        if not self._joined.done():
            self._joined.set_result(str(error))

    async def _on_call_state_updated(self, state: str) -> None:
        await super()._on_call_state_updated(state)
        if state == "left":
            await self.over("the room was closed")

    async def _on_participant_joined(self, participant: Any) -> None:
        self._callers.add(participant["id"])
        self.stop_expecting()
        await super()._on_participant_joined(participant)

    async def _on_participant_left(self, participant: Any, reason: Any) -> None:
        await super()._on_participant_left(participant, reason)
        self._callers.discard(participant["id"])
        if not self._callers and not self._waiting:
            self.expect(GRACE_SECONDS, "the last caller left")

    async def _on_dialin_stopped(self, data: Any) -> None:
        await super()._on_dialin_stopped(data)
        await self._over_if_empty("the caller hung up")

    async def _on_dialin_error(self, data: Any) -> None:
        await super()._on_dialin_error(data)
        await self._over_if_empty("the caller could not be connected")

    async def _on_dialout_stopped(self, data: Any) -> None:
        await super()._on_dialout_stopped(data)
        await self._over_if_empty("the called phone hung up")

    async def _on_dialout_error(self, data: Any) -> None:
        await super()._on_dialout_error(data)
        await self._over_if_empty("the phone call failed")

    async def _over_if_empty(self, reason: str) -> None:
        if not self._callers:
            await self.over(reason)


class Rooms:
    """The rooms of this session's agent: it talks in one, and leaves the others."""

    def __init__(self, agent: Agent, conversation: Conversation) -> None:
        self._agent, self._conversation = agent, conversation
        self._rooms: dict[str, Room] = {}
        self._held: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None

    async def join(self, data: Any) -> dict[str, Any]:
        """Join a room; the conversation runs in it, in the background."""
        try:
            request = parse_request(data)
            room = self._rooms.get(request.url)
            if room is None or room.is_over:
                room = self._rooms[request.url] = Room(request)
                room.entering = asyncio.create_task(self._enter(room, request))
            # A room is entered once, however often it is requested; a caller is about to come.
            room.expect(COMPANY_SECONDS, "no caller joined")
            await asyncio.shield(room.entering)
        except JoinRefused as refused:
            logs.write("room_refused", level="ERROR", code=refused.code, reason=refused.message)
            return {"error": {"code": refused.code, "message": refused.message}}
        return {"status": "joined"}

    async def _enter(self, room: Room, request: JoinRequest) -> None:
        if self._stopping:
            self._stopping.cancel()
        holding = asyncio.create_task(self._hold(room))
        self._held.add(holding)
        holding.add_done_callback(self._held.discard)
        try:
            await room.joined(holding)
            if request.dialout:
                _, error = await room.start_dialout(dict(request.dialout))
                if error:
                    raise JoinRefused("no_dialout", f"Daily refused to call: {error}")
        except JoinRefused as refused:
            await room.over(refused.message)
            raise

    async def _hold(self, room: Room) -> None:
        # HealthyBusy on /ping: no media passes through AgentCore to keep the session alive.
        busy = self._agent.add_async_task("conversation")
        try:
            async with ipv6_relay.ice_config(room.room_url) as config:
                if config:
                    logs.write("ipv6_relay", servers=len(config["iceServers"]))
                    room.use_ice(config)
                await self._conversation.hold(room, "daily")
        finally:
            room.stop_expecting()
            room.is_over = True
            self._agent.complete_async_task(busy)
            self._stopping = asyncio.create_task(session_stop.when_idle(self._agent))


def parse_request(data: Any) -> JoinRequest:
    """Parse the data of a request to join. Raises JoinRefused."""
    fields: dict[str, Any] = data if isinstance(data, dict) else {}
    url, token = str(fields.get("room_url", "")), str(fields.get("token", ""))
    if not url.startswith("https://") or len(url) > URL_CHARACTERS or not token:
        raise JoinRefused("bad_room", "A call is an object with room_url (https://...) and token.")
    dialin = parse_texts(fields, "dialin", DIALIN)
    if dialin and not os.environ.get(KEY):
        raise JoinRefused("no_key", f"The agent cannot take phone calls without {KEY}.")
    settings = DailyDialinSettings(**dialin) if dialin else None
    return JoinRequest(url, token, settings, parse_texts(fields, "dialout", DIALOUT))


def parse_texts(fields: dict[str, Any], name: str, keys: set[str]) -> dict[str, str] | None:
    """Return an optional object of texts with some of these keys. Raises JoinRefused."""
    part = fields.get(name)
    if part is None:
        return None
    known = isinstance(part, dict) and part and set(part) <= keys
    if not known or not all(isinstance(text, str) for text in part.values()):
        raise JoinRefused("bad_room", f"{name} is an object of texts: {', '.join(sorted(keys))}.")
    return part

"""The Daily transport: a request to /invocations names a room, and the agent joins it.

AgentCore ends a response after 60 minutes, and a session after 8 hours. So a call is not part of
the answer to its request: it is a task of its own, which keeps the session busy until it ends.

(A module `daily` there is already: Daily's own library.)
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

if TYPE_CHECKING:
    from .app import Agent

NAME = "Agent"
API = "https://api.daily.co/v1"
KEY = "DAILY_API_KEY"

# From the request until the agent is in the room: Daily's library gives up after 19.
JOIN_SECONDS = 25
# For whom the room was made for to come, or to pick up the telephone.
COMPANY_SECONDS = float(os.environ.get("COMPANY_SECONDS", "90"))
# For whoever has left to come back, as after a page was loaded anew.
GRACE_SECONDS = 1
URL_CHARACTERS = 300
DIALIN = {"call_id", "call_domain"}
DIALOUT = {"phoneNumber", "sipUri", "callerId"}


class Refused(Exception):
    """No call; with a code for programs and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Wanted:
    """A call to be held: the room, and who is on the telephone, if somebody is."""

    url: str
    token: str
    dialin: DailyDialinSettings | None = None
    """The caller whom Daily holds until the agent is there."""
    dialout: Mapping[str, str] | None = None
    """Whom to call, as `start_dialout` takes it: by phoneNumber or by sipUri."""


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer requests to join a room with the conversation, in the background."""
    agent.requests["join"] = Rooms(agent, conversation).join


class Room(DailyTransport):
    """Pipecat's transport, for a room in which the agent is from its first caller to its last."""

    # What ends a conversation is not that one caller leaves, but that nobody is left.
    _MEANT = {
        "on_client_connected": "on_first_participant_joined",
        "on_client_disconnected": "on_over",
    }

    def __init__(self, wanted: Wanted) -> None:
        params = DailyParams(
            api_url=os.environ.get("DAILY_API_URL") or API,
            api_key=os.environ.get(KEY, ""),
            dialin_settings=wanted.dialin,
            audio_in_enabled=True,
            # All callers in one stream: frames of several would be heard one after the other.
            audio_in_user_tracks=False,
            audio_out_enabled=True,
        )
        super().__init__(wanted.url, wanted.token, NAME, params)
        self._register_event_handler("on_over")
        self._callers: set[str] = set()
        self._patience: asyncio.TimerHandle | None = None
        """What ends the call, where nobody is there who may come yet."""
        self._leaving: asyncio.Task[None] | None = None
        self.is_over = False
        self.entering: asyncio.Task[None]
        """Done when it is in the room, and has called whom it is to call."""
        self._joined: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Once it is known: why it could not join; empty when it has."""

    def use_ice(self, config: dict[str, Any]) -> None:
        """Use these TURN servers. Pipecat has no setting for them."""
        self._client._client.set_ice_config(config)  # pyright: ignore - private, and untyped

    async def joined(self, holding: asyncio.Task[None]) -> None:
        """Wait until it is in the room, which `holding` brings about. Raises Refused."""
        known = {holding, self._joined}
        await asyncio.wait(known, timeout=JOIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._joined.done() and not self._joined.result():
            return
        if self._joined.done():
            raise Refused("no_room", f"The agent cannot join the room: {self._joined.result()}")
        if not holding.done():
            raise Refused("no_room", f"The agent was not in the room after {JOIN_SECONDS} s.")
        error = holding.exception()
        why = error or "the conversation ended before"
        raise Refused("no_room", f"The agent cannot join the room: {why}") from error

    def expect(self, seconds: float, reason: str) -> None:
        """Somebody may come within so many seconds; else the call is over."""
        loop = asyncio.get_running_loop()
        self.expect_nobody()

        def nobody_came() -> None:
            self._leaving = loop.create_task(self.over(reason))

        self._patience = loop.call_later(seconds, nobody_came)

    def expect_nobody(self) -> None:
        """Somebody is there, or all is over."""
        if self._patience:
            self._patience.cancel()
            self._patience = None

    async def over(self, reason: str) -> None:
        """End the call."""
        self.expect_nobody()
        if not self.is_over:
            self.is_over = True
            logs.write("room_left", reason=reason)
            await self._call_event_handler("on_over", None)

    def add_event_handler(self, event_name: str, handler: Any) -> None:
        """Call the handler at what the event means in a room of several."""
        super().add_event_handler(self._MEANT.get(event_name, event_name), handler)

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
        self.expect_nobody()
        await super()._on_participant_joined(participant)

    async def _on_participant_left(self, participant: Any, reason: Any) -> None:
        await super()._on_participant_left(participant, reason)
        self._callers.discard(participant["id"])
        if not self._callers and not self._patience:
            self.expect(GRACE_SECONDS, "the last caller left")

    async def _on_dialin_stopped(self, data: Any) -> None:
        await super()._on_dialin_stopped(data)
        await self._unless_somebody_is_there("the caller hung up")

    async def _on_dialin_error(self, data: Any) -> None:
        await super()._on_dialin_error(data)
        await self._unless_somebody_is_there("the caller could not be put through")

    async def _on_dialout_stopped(self, data: Any) -> None:
        await super()._on_dialout_stopped(data)
        await self._unless_somebody_is_there("who was called hung up")

    async def _on_dialout_error(self, data: Any) -> None:
        await super()._on_dialout_error(data)
        await self._unless_somebody_is_there("nobody could be called")

    async def _unless_somebody_is_there(self, reason: str) -> None:
        if not self._callers:
            await self.over(reason)


class Rooms:
    """The rooms that this session's agent is in: one at a time, and others that it is leaving."""

    def __init__(self, agent: Agent, conversation: Conversation) -> None:
        self._agent, self._conversation = agent, conversation
        self._rooms: dict[str, Room] = {}
        self._held: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None

    async def join(self, data: Any) -> dict[str, Any]:
        """Join a room; the conversation goes on in it, in the background."""
        try:
            wanted = wanted_of(data)
            room = self._rooms.get(wanted.url)
            if room is None or room.is_over:
                room = self._rooms[wanted.url] = Room(wanted)
                room.entering = asyncio.create_task(self._enter(room, wanted))
            # A room that is asked for twice is entered once; who asks is about to come.
            room.expect(COMPANY_SECONDS, "nobody came")
            await asyncio.shield(room.entering)
        except Refused as refused:
            logs.write("room_refused", level="ERROR", code=refused.code, reason=refused.message)
            return {"error": {"code": refused.code, "message": refused.message}}
        return {"status": "joined"}

    async def _enter(self, room: Room, wanted: Wanted) -> None:
        if self._ending:
            self._ending.cancel()
        holding = asyncio.create_task(self._hold(room))
        self._held.add(holding)
        holding.add_done_callback(self._held.discard)
        try:
            await room.joined(holding)
            if wanted.dialout:
                _, error = await room.start_dialout(dict(wanted.dialout))
                if error:
                    raise Refused("no_dialout", f"Daily does not call out: {error}")
        except Refused as refused:
            await room.over(refused.message)
            raise

    async def _hold(self, room: Room) -> None:
        # HealthyBusy on /ping: no media passes AgentCore's front door to keep the session alive.
        busy = self._agent.add_async_task("conversation")
        try:
            async with ipv6_relay.ice_config(room.room_url) as config:
                if config:
                    logs.write("ipv6_relay", servers=len(config["iceServers"]))
                    room.use_ice(config)
                await self._conversation.hold(room, "daily")
        finally:
            room.expect_nobody()
            room.is_over = True
            self._agent.complete_async_task(busy)
            self._ending = asyncio.create_task(session_stop.when_alone(self._agent))


def wanted_of(data: Any) -> Wanted:
    """The call that a request asks for. Raises Refused."""
    told: dict[str, Any] = data if isinstance(data, dict) else {}
    url, token = str(told.get("room_url", "")), str(told.get("token", ""))
    if not url.startswith("https://") or len(url) > URL_CHARACTERS or not token:
        raise Refused("bad_room", "A call is an object with room_url, as https://…, and token.")
    dialin = texts_in(told, "dialin", DIALIN)
    if dialin and not os.environ.get(KEY):
        raise Refused("no_key", f"The agent takes no calls by telephone without {KEY}.")
    settings = DailyDialinSettings(**dialin) if dialin else None
    return Wanted(url, token, settings, texts_in(told, "dialout", DIALOUT))


def texts_in(told: dict[str, Any], name: str, keys: set[str]) -> dict[str, str] | None:
    """What a request says of a call by telephone; None where it is none. Raises Refused."""
    part = told.get(name)
    if part is None:
        return None
    known = isinstance(part, dict) and part and set(part) <= keys
    if not known or not all(isinstance(text, str) for text in part.values()):
        raise Refused("bad_room", f"{name} is an object of texts: {', '.join(sorted(keys))}.")
    return part

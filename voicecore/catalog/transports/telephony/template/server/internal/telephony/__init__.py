"""Calls by telephone: what providers ask of this server, and what your programs ask of them.

A provider that has a call asks at /phone/<provider>, by a request that it signs. It is told to open
a media socket at /phone/<provider>/media/<ticket>, which the bridge connects with the agent.
"""

# No `from __future__ import annotations`: FastAPI could not see what is inside of functions.

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from sys import maxsize
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, FastAPI, Header, Request, Response, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from .. import logs
from ..access import Access, Session
from ..agentcore import EXPIRES_SECONDS, AgentCore
from ..api_errors import ApiError, answers
from ..limits import Limits
from ..metrics import Metrics
from ..session_table import LEASE_SECONDS, Table
from ..settings import LOOPBACK, Reader, Settings
from . import providers, tickets
from .bridge import LAST_WORDS_SECONDS, Bridge, Ending, Unreachable
from .provider import ApiCall, BadStart, Call, Forged, Provider, Webhook, e164
from .tickets import Tickets

# A request that comes again within this time is a replay.
REPLAY_SECONDS = 3600
# For a provider to answer.
API_SECONDS = 10
# AgentCore ends every stream after 60 minutes.
STREAM_SECONDS = 3600
# For calls that are open at SIGTERM. With the end of those that are not over by then, it stays
# within the 120 s after which AWS Fargate, and compose.yaml, end the process.
DRAIN_SECONDS = 90
# From a provider's question to the media socket that it is told to open.
ANSWERED_SECONDS = 3
# What most providers let it ring for.
RING_SECONDS = 60
# What providers call a call that is not over.
LIVE = ("queued", "initiated", "started", "ringing", "in-progress", "answered")


@dataclass(frozen=True)
class Telephony:
    """What the environment says of telephones; see .env.example."""

    providers: dict[str, Provider]
    numbers: tuple[str, ...]
    """The numbers served, and called from; empty: all that the providers send us."""
    public_url: str
    """What providers call this server by; empty: as each request says."""
    vonage_direct: bool
    stream_seconds: float
    drain_seconds: int


def read(environment: Mapping[str, str]) -> Telephony:
    """The settings. Raises SystemExit, which tells all mistakes at once."""
    reader = Reader(environment)
    numbers: list[str] = []
    for text in filter(None, (n.strip() for n in reader.text("PHONE_NUMBERS").split(","))):
        try:
            numbers.append(e164(text))
        except ApiError:
            reader.mistakes.append("PHONE_NUMBERS lists numbers like +14155550100.")
    url = urlsplit(public := reader.text("PUBLIC_URL").rstrip("/"))
    safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if public and not (safe and public == f"{url.scheme}://{url.netloc}"):
        reader.mistakes.append("PUBLIC_URL is an origin like https://phone.example.")
    read = Telephony(
        providers.read(reader),
        tuple(numbers),
        public,
        reader.text("VONAGE_DIRECT") == "1",
        _seconds(reader, "STREAM_SECONDS", STREAM_SECONDS),
        reader.count("DRAIN_SECONDS", DRAIN_SECONDS),
    )
    reader.tell()
    return read


def _seconds(reader: Reader, name: str, default: float) -> float:
    try:
        return float(reader.text(name) or default)
    except ValueError:
        reader.mistakes.append(f"{name} is a number of seconds.")
        return default


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """For equipment of your own: where it sends frames as a provider's, within `expiresIn` s."""
    url = await agentcore.websocket_url(session_id, "telephony")
    return {"wsUrl": url, "expiresIn": EXPIRES_SECONDS}


class CallRequest(BaseModel):
    """The body of POST /phone/calls."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=30, examples=["+14155550100"])
    provider: str | None = Field(default=None, max_length=20)


class TransferRequest(BaseModel):
    """The body of POST /phone/calls/<id>/transfer."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=30, examples=["+14155550100"])


class PlacedCall(BaseModel):
    """A call on its way."""

    callId: str
    provider: str
    sessionId: str


class CallState(BaseModel):
    """How a call is, in its provider's word."""

    callId: str
    provider: str
    status: str


class Exchange:
    """Where calls come together: providers, agents, and who asks for calls."""

    def __init__(
        self,
        telephony: Telephony,
        settings: Settings,
        agentcore: AgentCore,
        access: Access,
        limits: Limits,
        table: Table,
        metrics: Metrics,
    ) -> None:
        self._telephony, self._agentcore, self._access = telephony, agentcore, access
        self._limits, self._table, self._metrics = limits, table, metrics
        self._tickets = Tickets(settings.key, table)
        self._http: Any = None
        self._open: set[Bridge] = set()
        self._expected: dict[str, float] = {}
        """Sessions whose sound is to come, as somebody rings or was answered, and until when."""
        self._until: float | None = None

    @asynccontextmanager
    async def open(self, _: FastAPI) -> AsyncIterator[None]:
        """Hold the connections to agents and providers open."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as self._http:
            yield

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to end, and takes no calls."""
        return self._until is not None

    async def drain(self, is_forced: Callable[[], bool]) -> None:
        """Take no new calls; returns when the open ones have ended, or nobody waits any more.

        Whom we have called may still take the call, and who still speaks after DRAIN_SECONDS hears
        an apology.
        """
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._telephony.drain_seconds
        if self._open:
            seconds = self._telephony.drain_seconds
            logs.write("draining", calls=len(self._open), seconds=seconds)
        for bridge in self._open:
            bridge.end_at(self._until)
        last = self._until + LAST_WORDS_SECONDS + API_SECONDS
        while self._carries(loop.time()) and loop.time() < last and not is_forced():
            await asyncio.sleep(0.05)

    def _carries(self, now: float) -> bool:
        return bool(self._open) or any(until > now for until in self._expected.values())

    def _expect(self, session_id: str, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._expected = {id: until for id, until in self._expected.items() if until > now}
        self._expected[session_id] = now + seconds

    async def answer(self, name: str, request: Request) -> Response:
        """Tell the provider what to do with a call."""
        if not (self.is_draining and await self._expects(name, request)):
            self._takes_calls()
        provider, webhook = await self._checked(name, request)
        call = provider.incoming(webhook)
        if not call.id:
            raise ApiError(422, "no_call", "This tells of no call.")
        session, answer = self._session(name, call.id), provider.reject()
        self._expected.pop(session.id, None)
        if not self._serves(call):
            logs.write("call_refused", session.id, "WARNING", provider=name, why="unknown number")
        elif await self._is_held(session, self._direct(name)):
            answer = provider.answer(call, await self._media_url(name, call, session, request))
            self._expect(session.id, ANSWERED_SECONDS)
            logs.write("call_answered", session.id, provider=name)
        return Response(answer.body, answer.status, media_type=answer.type)

    async def status(self, name: str, request: Request) -> Response:
        """Take note of what became of a call."""
        provider, webhook = await self._checked(name, request)
        call_id, status = provider.state(webhook)
        session = self._session(name, call_id)
        logs.write("call_status", session.id, provider=name, status=status[:40])
        if status not in LIVE:  # its sound may never have come
            self._expected.pop(session.id, None)
            await self._table.end(session)
        return Response(status_code=204)

    async def dial(self, name: str, ticket: str, request: Request) -> Response:
        """Tell the provider which number a call is transferred to."""
        provider, _ = await self._checked(name, request)
        try:
            number = await self._tickets.redeem(f"dial-{name}", ticket, time.time())
        except Forged as error:
            raise ApiError(403, "forged", f"This is not good: {error}.") from error
        answer = provider.dial(number)
        return Response(answer.body, answer.status, media_type=answer.type)

    async def media(self, socket: WebSocket, name: str, ticket: str) -> None:
        """Carry a call's sound, for as long as it lasts."""
        provider = self._telephony.providers.get(name)
        try:
            if provider is None:
                raise Forged("there is no such provider here")
            provider.check_media(self._webhook(socket, "GET"))
            call_id = await self._tickets.redeem(f"media-{name}", ticket, time.time())
        except Forged as error:
            logs.write("media_refused", level="WARNING", provider=name[:20], why=str(error))
            await socket.close()  # before it is accepted: HTTP 403
            return
        session, begun = self._session(name, call_id), time.monotonic()
        # Another copy of the server may have answered, and counted it; who has come so far stays.
        await self._table.hold(session, maxsize)
        await socket.accept()
        seconds = self._telephony.stream_seconds
        bridge = Bridge(socket, provider, self._agentcore, self._http, session.id, seconds)
        if self._until is not None:
            bridge.end_at(self._until)
        self._open.add(bridge)
        self._expected.pop(session.id, None)
        by = "us"
        try:
            by = await self._carry(bridge, provider, call_id, session.id)
        finally:
            await bridge.close()
            self._open.discard(bridge)
            await self._table.end(session)
            lasted = round(time.monotonic() - begun, 1)
            logs.write("call_ended", session.id, provider=name, by=by, seconds=lasted)

    async def place(self, wanted: CallRequest, request: Request) -> PlacedCall:
        """Call a number; the agent speaks with whoever answers."""
        self._takes_calls()
        name, provider = self._provider(wanted.provider)
        if not self._telephony.numbers:
            raise ApiError(422, "no_number", "PHONE_NUMBERS names no number to call from.")
        caller, base = self._telephony.numbers[0], self._base(request)
        place = provider.place(
            caller, e164(wanted.to), f"{base}/phone/{name}", f"{base}/phone/{name}/status"
        )
        call_id = told(await self._ask(place), provider.placed)
        session_id = session_of(name, call_id)
        self._expect(session_id, RING_SECONDS)
        logs.write("call_placed", session_id, provider=name)
        return PlacedCall(callId=call_id, provider=name, sessionId=session_id)

    async def look(self, call_id: str, name: str | None) -> CallState:
        """How a call is."""
        names = list(self._telephony.providers) if name is None else [name]
        name, document = await self._looked(call_id, names)
        status = told(document, self._telephony.providers[name].seen)
        return CallState(callId=call_id, provider=name, status=status)

    async def hang_up(self, call_id: str, name: str | None) -> None:
        """End a call, and its session."""
        name, provider = await self._holder(call_id, name)
        if end := provider.hang_up(call_id):
            await self._ask(end)
        await self._agentcore.stop(session_of(name, call_id))

    async def transfer(
        self, call_id: str, name: str | None, wanted: TransferRequest, request: Request
    ) -> None:
        """Connect a call to a number, instead of the agent."""
        name, provider = await self._holder(call_id, name)
        number = e164(wanted.to)
        ticket = self._tickets.issue(f"dial-{name}", number, time.time())
        url = f"{self._base(request)}/phone/{name}/dial/{ticket}"
        await self._ask(provider.transfer(call_id, number, url))

    def key(self, authorization: str) -> None:
        """Raise ApiError unless this header shows the server's key: calls cost money."""
        if not self._access.has_key(authorization):
            raise ApiError(401, "unauthorized", "Send the header Authorization: Bearer <key>.")

    async def _carry(
        self, bridge: Bridge, provider: Provider, call_id: str, session_id: str
    ) -> str:
        """A call from its first frame to its end, and who ended it."""
        try:
            await bridge.open(call_id)
        except BadStart as error:
            await bridge.close(1008, f"This is not how a call starts: {error}."[:120])
            await self._end(provider, call_id)
            return f"us: {error}"
        self._metrics.session("started", "telephony")
        try:
            by = await self._converse(bridge, session_id)
            if by != Ending.CALLER.value:
                await bridge.finish()
                await self._end(provider, call_id)
            return by
        finally:
            await self._stop(session_id)

    async def _converse(self, bridge: Bridge, session_id: str) -> str:
        try:
            ending = await bridge.carry()
            if ending is Ending.SERVER:
                await bridge.apologise()
            return ending.value
        except (Unreachable, BotoCoreError) as error:
            why = str(error) or type(error).__name__
            logs.write("agent_unreachable", session_id, "ERROR", why=why)
            await bridge.apologise()
            return "us: no agent"

    async def _expects(self, name: str, request: Request) -> bool:
        """Whether this is about a call that we wait for, whoever says so."""
        name, provider = self._provider(name)
        webhook = self._webhook(request, request.method, await request.body())
        return session_of(name, provider.incoming(webhook).id) in self._expected

    def _takes_calls(self) -> None:
        """Raise ApiError if the server is about to end."""
        if self.is_draining:
            # Before a signature is looked at: the same request may be good for another server.
            raise ApiError(503, "draining", "This server is about to end; ask again.", 1)

    async def _end(self, provider: Provider, call_id: str) -> None:
        try:
            if end := provider.hang_up(call_id):
                await self._ask(end)
        except ApiError as error:  # closing the socket ends it, too, if later
            logs.write("call_not_ended", level="WARNING", why=str(error.detail))

    async def _stop(self, session_id: str) -> None:
        try:
            await self._agentcore.stop(session_id)
        except (BotoCoreError, ClientError, TimeoutError) as error:  # it ends when it has idled
            logs.write("session_not_stopped", session_id, "WARNING", why=type(error).__name__)
        self._metrics.session("stopped", "telephony")

    async def _checked(self, name: str, request: Request) -> tuple[Provider, Webhook]:
        """The provider of this name, and its request if it is its own. Raises ApiError."""
        name, provider = self._provider(name)
        webhook = self._webhook(request, request.method, await request.body())
        try:
            once = provider.check(webhook, time.time())
            digest = hashlib.sha256(once.encode()).hexdigest()
            if once and not await self._table.once(f"{name}-{digest}", REPLAY_SECONDS):
                raise Forged("it came before")
        except Forged as error:
            logs.write("webhook_refused", level="WARNING", provider=name, why=str(error))
            raise ApiError(401, "forged", f"This is not {name}'s: {error}.") from error
        return provider, webhook

    def _provider(self, name: str | None) -> tuple[str, Provider]:
        """The one of this name, or the only one. Raises ApiError."""
        known = self._telephony.providers
        if name is None and len(known) == 1:
            name = next(iter(known))
        if name is None:
            raise ApiError(422, "which_provider", f"Say which: provider={' or '.join(known)}.")
        if name not in known:
            raise ApiError(404, "unknown_provider", f"This server knows {' and '.join(known)}.")
        return name, known[name]

    async def _holder(self, call_id: str, name: str | None) -> tuple[str, Provider]:
        """The provider of a call: the one of this name, or whichever knows it. Raises ApiError."""
        known = self._telephony.providers
        if name is None and len(known) > 1:
            name, _ = await self._looked(call_id, list(known))
        return self._provider(name)

    async def _looked(self, call_id: str, names: list[str]) -> tuple[str, dict[str, Any]]:
        """Which of these providers knows a call, and what it says of it. Raises ApiError."""
        answers = await asyncio.gather(
            *(self._ask(self._provider(name)[1].look(call_id)) for name in names),
            return_exceptions=True,
        )
        for name, answer in zip(names, answers, strict=True):
            if not isinstance(answer, BaseException):
                return name, answer
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(errors) == 1:
            raise errors[0]
        silent = [e for e in errors if isinstance(e, ApiError) and e.status_code in (503, 504)]
        raise silent[0] if silent else ApiError(404, "no_call", "No provider knows such a call.")

    def _session(self, name: str, call_id: str) -> Session:
        """The session of a call, held by its provider."""
        return Session(session_of(name, call_id), f"phone-{name}", "telephony", int(time.time()))

    def _serves(self, call: Call) -> bool:
        """Whether one of the call's numbers is ours: the one called or, if we call, the other."""
        numbers = {f"+{number.lstrip('+')}" for number in (call.caller, call.called)}
        return not self._telephony.numbers or bool(numbers & set(self._telephony.numbers))

    def _direct(self, name: str) -> bool:
        """Whether the provider dials the agent by itself, and no sound comes here."""
        return name == "vonage" and self._telephony.vonage_direct

    async def _is_held(self, session: Session, direct: bool) -> bool:
        """Whether there is room for the call: for as long as its ticket is good, or it may last."""
        try:
            await self._limits.hold(session, LEASE_SECONDS if direct else tickets.SECONDS)
        except ApiError:
            logs.write("call_refused", session.id, "WARNING", why="too many at once")
            return False
        return True

    async def _media_url(self, name: str, call: Call, session: Session, request: Request) -> str:
        if self._direct(name):
            return await self._agentcore.websocket_url(session.id, "telephony")
        ticket = self._tickets.issue(f"media-{name}", call.id, time.time())
        return f"{self._base(request).replace('http', 'ws', 1)}/phone/{name}/media/{ticket}"

    def _base(self, request: HTTPConnection) -> str:
        """The origin that providers call us by."""
        scheme = request.url.scheme.replace("ws", "http", 1)
        return self._telephony.public_url or f"{scheme}://{request.url.netloc}"

    def _webhook(self, request: HTTPConnection, method: str, body: bytes = b"") -> Webhook:
        base = self._base(request)
        if request.scope["type"] == "websocket":
            base = base.replace("http", "ws", 1)
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["raw_path"].decode("latin-1")
        url = f"{base}{path}{'?' * bool(query)}{query}"
        return Webhook(method, url, dict(request.headers), body)

    async def _ask(self, call: ApiCall) -> dict[str, Any]:
        """What a provider's API answers. Raises ApiError."""
        timeout = aiohttp.ClientTimeout(total=API_SECONDS)
        try:
            async with self._http.request(
                call.method, call.url, headers=call.headers, data=call.body or None, timeout=timeout
            ) as answer:
                body = await answer.read()
        except TimeoutError as error:
            raise ApiError(504, "provider_timeout", "The provider did not answer.") from error
        except aiohttp.ClientError as error:
            message = "The provider cannot be reached."
            raise ApiError(503, "provider_unreachable", message) from error
        if answer.status == 404:
            raise ApiError(404, "no_call", "The provider knows of no such call.")
        if answer.status >= 400:
            message = f"The provider refused: HTTP {answer.status}."
            raise ApiError(502, "provider_refused", message)
        try:
            document = json.loads(body or b"{}")
        except ValueError:
            document = {}
        return document if isinstance(document, dict) else {}


def router(exchange: Exchange) -> APIRouter:
    """What is asked of the exchange by HTTP."""
    routes = APIRouter(prefix="/phone", lifespan=exchange.open)
    refused = answers(401, 404, 422, 429, 502, 503, 504)

    @routes.post("/calls", responses=refused)
    async def place(
        body: CallRequest, request: Request, authorization: Annotated[str, Header()] = ""
    ) -> PlacedCall:
        exchange.key(authorization)
        return await exchange.place(body, request)

    @routes.get("/calls/{call_id}", responses=refused)
    async def look(
        call_id: str, provider: str | None = None, authorization: Annotated[str, Header()] = ""
    ) -> CallState:
        exchange.key(authorization)
        return await exchange.look(call_id, provider)

    @routes.delete("/calls/{call_id}", status_code=204, responses=refused)
    async def hang_up(
        call_id: str, provider: str | None = None, authorization: Annotated[str, Header()] = ""
    ) -> None:
        exchange.key(authorization)
        await exchange.hang_up(call_id, provider)

    @routes.post("/calls/{call_id}/transfer", status_code=204, responses=refused)
    async def transfer(
        call_id: str,
        body: TransferRequest,
        request: Request,
        provider: str | None = None,
        authorization: Annotated[str, Header()] = "",
    ) -> None:
        exchange.key(authorization)
        await exchange.transfer(call_id, provider, body, request)

    for method in ("GET", "POST"):
        add = routes.get if method == "GET" else routes.post
        add("/{name}", include_in_schema=False)(exchange.answer)
        add("/{name}/status", include_in_schema=False)(exchange.status)
    routes.post("/{name}/dial/{ticket}", include_in_schema=False)(exchange.dial)
    return routes


def media(exchange: Exchange) -> APIRouter:
    """The sockets that carry the sound of calls."""
    routes = APIRouter(prefix="/phone")
    routes.websocket("/{name}/media/{ticket}")(exchange.media)
    return routes


def session_of(provider: str, call_id: str) -> str:
    """The session of a call: one that calls it by its id anew, as after a cut, meets it again."""
    if provider == "twilio":
        return call_id  # 34 characters of AgentCore's alphabet
    return f"{provider}-{uuid.uuid5(uuid.NAMESPACE_URL, call_id)}"


def told(document: dict[str, Any], read: Any) -> str:
    """What a provider's answer says. Raises ApiError if it says something else."""
    try:
        return read(document)
    except (KeyError, TypeError) as error:
        message = "The provider's answer is not what it should be."
        raise ApiError(502, "provider_refused", message) from error

"""One telephone provider: takes and places calls, asks servers about them, streams their sound."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import TracebackType

import aiohttp
from aiohttp import web
from yarl import URL

from tests.standins.phone import rest
from tests.standins.phone.accounts import NUMBER, account
from tests.standins.phone.handset import Handset, Mistake
from voicecore.talk.telephone.call_control import Connect, Dial, Step, read_answer
from voicecore.talk.telephone.signatures import Headers, Request
from voicecore.talk.telephone.webhooks import (
    PhoneCall,
    answer_request,
    new_call,
    sign,
    sign_handshake,
    status_request,
)

CALLER = "+12025550123"


class Proof(Enum):
    """How a request shows whose it is."""

    TRUE = auto()
    MISSING = auto()
    FORGED = auto()
    """Signed by somebody who has another account."""
    ALTERED = auto()
    """Truly signed, and changed on the way."""
    STALE = auto()
    """Signed by the provider ten minutes ago, where its signature tells a time."""


@dataclass
class Call:
    """A call that the provider has or had."""

    it: PhoneCall
    status: str = "ringing"
    handset: Handset | None = None
    transferred_to: str = ""
    status_url: str = ""

    @property
    def alive(self) -> bool:
        """Whether somebody is still on the line."""
        return self.status in ("ringing", "in-progress")


@dataclass(frozen=True)
class Answer:
    """What a server said to a call."""

    call: Call
    request: Request
    headers: Headers
    status: int
    text: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """As the provider reads it; raises AnswerRefused."""
        return read_answer(self.call.it.provider, self.text)

    @property
    def connect(self) -> Connect:
        """Where the sound shall go."""
        return next(step for step in self.steps if isinstance(step, Connect))


@dataclass
class Provider:
    """Serves its REST API while its `async with` block runs."""

    name: str
    trust: ssl.SSLContext | bool = True
    """Which servers are who they say."""
    url: str = ""
    calls: dict[str, Call] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request to the REST API, in order."""
    flow_url: str = ""
    """Exotel: the dynamic URL in the Voicebot applet of the flow that outbound calls run."""
    ring_seconds: float = 0
    """How long it takes the far end of a call that a server placed to take it."""
    answered: asyncio.Queue[Handset] = field(default_factory=asyncio.Queue)
    """The far ends of calls that a server placed, as they are connected to it."""

    async def __aenter__(self) -> Provider:
        self.secrets = account(self.name)
        self._stack = AsyncExitStack()
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trust))
        )
        self._tasks: set[asyncio.Task[None]] = set()
        app = web.Application(middlewares=[self._journal])
        rest.add_routes(app, self)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    @property
    def variables(self) -> dict[str, str]:
        """What a server needs in its environment to be this provider's customer."""
        known = {name: value for name, value in self.secrets.items() if name != "SIGNING_KEY"}
        return {**known, f"{self.name.upper()}_API_URL": self.url}

    # Calls that come in

    async def ring(
        self,
        server: str,
        proof: Proof = Proof.TRUE,
        caller: str = CALLER,
        called: str = NUMBER,
    ) -> Answer:
        """Somebody calls the number: the server is asked what to do."""
        call = Call(new_call(self.name, self.secrets, caller, called))
        self.calls[call.it.id] = call
        return await self._ask(call, f"{server}/phone/{self.name}", proof)

    async def ring_again(self, answer: Answer) -> Answer:
        """The very same request a second time, as who has recorded it may send it."""
        return await self._send(answer.call, answer.request, answer.headers)

    async def tell(self, call: Call, url: str, status: str, proof: Proof = Proof.TRUE) -> int:
        """A status callback; the server's HTTP status."""
        answer = await self._send(
            call, *self._signed(call, status_request(call.it, url, status), proof)
        )
        return answer.status

    @asynccontextmanager
    async def dial(
        self, answer: Answer, mistake: Mistake = Mistake.NONE, signed: bool = True
    ) -> AsyncIterator[Handset]:
        """The media socket that the server's answer names, with somebody at its other end."""
        call, connect = answer.call, answer.connect
        headers = sign_handshake(call.it, connect.url, self.secrets, time.time()) if signed else {}
        # To the letter: a URL that is signed is another one when it was decoded.
        url = URL(connect.url, encoded=True)
        socket = await self._http.ws_connect(url, headers=headers, max_msg_size=0)
        stream = call.it.media(connect.parameters)
        async with socket, Handset(self.name, stream, socket, mistake) as handset:
            call.handset, call.status = handset, "in-progress"
            try:
                yield handset
            finally:
                if call.alive:
                    call.status = "completed"

    @asynccontextmanager
    async def call(self, server: str) -> AsyncIterator[Handset]:
        """A call from ringing to its end."""
        async with self.dial(await self.ring(server)) as handset:
            yield handset

    # What the REST API does

    def place(self, caller: str, called: str, answer_url: str, status_url: str) -> Call:
        """Call somebody; when the call is taken, the server is asked what to do."""
        it = new_call(self.name, self.secrets, caller, called, outbound=True)
        call = Call(it, status_url=status_url)
        self.calls[it.id] = call
        self._later(self._connect(call, answer_url))
        return call

    def end(self, call: Call) -> None:
        """Hang up on the caller."""
        call.status = "completed"
        self._later(self._hang_up(call))

    def transfer(self, call: Call, answer: str) -> None:
        """Go on with what the answer says. Raises AnswerRefused."""
        numbers = [step.number for step in read_answer(self.name, answer) if isinstance(step, Dial)]
        call.transferred_to = ", ".join(numbers)
        self._later(self._hang_up(call))

    def transfer_by(self, call: Call, url: str) -> None:
        """Ask the server at `url` how the call goes on."""
        self._later(self._ask_and_transfer(call, url))

    async def _connect(self, call: Call, answer_url: str) -> None:
        await asyncio.sleep(self.ring_seconds)
        answer = await self._ask(call, answer_url, Proof.TRUE)
        async with self.dial(answer) as handset:
            await self.answered.put(handset)
            await handset.over.wait()
        if call.status_url:
            await self.tell(call, call.status_url, "completed")

    async def _hang_up(self, call: Call) -> None:
        if call.handset:
            await call.handset.hang_up()

    async def _ask_and_transfer(self, call: Call, url: str) -> None:
        self.transfer(call, (await self._ask(call, url, Proof.TRUE)).text)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    # Requests to the server

    async def _ask(self, call: Call, url: str, proof: Proof) -> Answer:
        return await self._send(call, *self._signed(call, answer_request(call.it, url), proof))

    def _signed(self, call: Call, request: Request, proof: Proof) -> tuple[Request, Headers]:
        at = time.time() - (600 if proof is Proof.STALE else 0)
        headers = sign(call.it, request, self.secrets, at)
        match proof:
            case Proof.MISSING:
                return request, {}
            case Proof.FORGED:
                return request, sign(call.it, request, account(self.name), at)
            case Proof.ALTERED:
                return replace(request, fields=_altered(request.fields)), headers
            case _:
                return request, headers

    async def _send(self, call: Call, request: Request, headers: Headers) -> Answer:
        async with self._http.request(
            request.method,
            request.address,
            data=request.body or None,
            headers={"Content-Type": request.content_type, **headers},
        ) as response:
            return Answer(call, request, headers, response.status, await response.text())

    @web.middleware
    async def _journal(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        return await handler(request)


def _altered(fields: Mapping[str, str]) -> dict[str, str]:
    """The request with another caller in it."""
    names = ("From", "CallFrom", "from")
    return {name: "+19005550199" if name in names else value for name, value in fields.items()}

"""A phone provider: takes and places calls, asks servers about them, streams their audio."""

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
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.catalog.phones.answers import Connect, Dial, Step
from voicecore.catalog.phones.signaling import Headers, PhoneCall, WebhookRequest

CALLER = "+12025550123"


class Proof(Enum):
    """The proof that a request carries of its sender."""

    VALID = auto()
    MISSING = auto()
    FORGED = auto()
    """Signed with the secret of another account."""
    ALTERED = auto()
    """Signed, and changed afterwards."""
    STALE = auto()
    """Signed ten minutes ago, if the signature has a time."""


@dataclass
class Call:
    """A call of the provider, running or over."""

    phone_call: PhoneCall
    status: str = "ringing"
    handset: Handset | None = None
    transferred_to: str = ""
    status_url: str = ""

    @property
    def alive(self) -> bool:
        """True until the call is over."""
        return self.status in ("ringing", "in-progress")


@dataclass(frozen=True)
class Answer:
    """A server's answer to a call."""

    call: Call
    request: WebhookRequest
    headers: Headers
    status: int
    text: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps that the provider reads in the answer. Raises AnswerRefused."""
        return self.call.phone_call.phone.signaling().read_answer(self.text)

    @property
    def connect(self) -> Connect:
        """Step that names the media socket."""
        return next(step for step in self.steps if isinstance(step, Connect))


@dataclass
class Provider:
    """Serves the REST API while its `async with` block runs."""

    name: str
    trust: ssl.SSLContext | bool = True
    """TLS context for requests to servers."""
    url: str = ""
    calls: dict[str, Call] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request to the REST API, in order."""
    flow_url: str = ""
    """Exotel: dynamic URL in the Voicebot applet of the flow for outbound calls."""
    ring_seconds: float = 0
    """Seconds that a call placed by a server rings before it is answered."""
    answered: asyncio.Queue[Handset] = field(default_factory=asyncio.Queue)
    """Callees of calls that a server placed, once they are connected to it."""

    async def __aenter__(self) -> Provider:
        self.secrets, self.signaling = account(self.name), PHONES[self.name].signaling()
        self.media = PHONES[self.name].media()
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
        """Environment of a server that is a customer of this provider."""
        known = {name: value for name, value in self.secrets.items() if name != SIGNING_KEY}
        return {**known, f"{self.name.upper()}_API_URL": self.url}

    # Inbound calls

    async def ring(
        self,
        server: str,
        proof: Proof = Proof.VALID,
        caller: str = CALLER,
        called: str = NUMBER,
    ) -> Answer:
        """Call the number: the server is asked what to do."""
        call = Call(self.signaling.new_call(self.secrets, caller, called))
        self.calls[call.phone_call.id] = call
        return await self._ask(call, f"{server}/phone/{self.name}", proof)

    async def ring_again(self, answer: Answer) -> Answer:
        """Send the same request a second time, as a replay attack does."""
        return await self._send(answer.call, answer.request, answer.headers)

    async def tell(self, call: Call, url: str, status: str, proof: Proof = Proof.VALID) -> int:
        """Send a status callback; return the server's HTTP status."""
        request = self.signaling.status_request(call.phone_call, url, status)
        answer = await self._send(call, *self._signed(request, proof))
        return answer.status

    @asynccontextmanager
    async def dial(
        self, answer: Answer, mistake: Mistake = Mistake.NONE, signed: bool = True
    ) -> AsyncIterator[Handset]:
        """Open the media socket in the server's answer, with a caller at its other end."""
        call, connect = answer.call, answer.connect
        headers = self.signaling.sign_media(connect.url, self.secrets, time.time())
        headers = headers if signed else {}
        # The signature covers the URL as it is written: decoding it would break it.
        url = URL(connect.url, encoded=True)
        socket = await self._http.ws_connect(url, headers=headers, max_msg_size=0)
        stream = call.phone_call.media(connect.parameters)
        async with socket, Handset(self.media, stream, socket, mistake) as handset:
            call.handset, call.status = handset, "in-progress"
            try:
                yield handset
            finally:
                if call.alive:
                    call.status = "completed"

    @asynccontextmanager
    async def call(self, server: str) -> AsyncIterator[Handset]:
        """Hold a call from ringing to its end."""
        async with self.dial(await self.ring(server)) as handset:
            yield handset

    # Actions of the REST API

    def place(self, caller: str, called: str, answer_url: str, status_url: str) -> Call:
        """Place a call; once it is answered, the server is asked what to do."""
        phone_call = self.signaling.new_call(self.secrets, caller, called, outbound=True)
        call = Call(phone_call, status_url=status_url)
        self.calls[phone_call.id] = call
        self._start(self._connect(call, answer_url))
        return call

    def end(self, call: Call) -> None:
        """End a call."""
        call.status = "completed"
        self._start(self._hang_up(call))

    def transfer(self, call: Call, answer: str) -> None:
        """Continue with the steps of this answer. Raises AnswerRefused."""
        steps = self.signaling.read_answer(answer)
        call.transferred_to = ", ".join(step.number for step in steps if isinstance(step, Dial))
        self._start(self._hang_up(call))

    def transfer_by(self, call: Call, url: str) -> None:
        """Ask the server at `url` how the call continues."""
        self._start(self._ask_and_transfer(call, url))

    async def _connect(self, call: Call, answer_url: str) -> None:
        await asyncio.sleep(self.ring_seconds)
        answer = await self._ask(call, answer_url, Proof.VALID)
        async with self.dial(answer) as handset:
            await self.answered.put(handset)
            await handset.over.wait()
        if call.status_url:
            await self.tell(call, call.status_url, "completed")

    async def _hang_up(self, call: Call) -> None:
        if call.handset:
            await call.handset.hang_up()

    async def _ask_and_transfer(self, call: Call, url: str) -> None:
        self.transfer(call, (await self._ask(call, url, Proof.VALID)).text)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    # Requests to the server

    async def _ask(self, call: Call, url: str, proof: Proof) -> Answer:
        request = self.signaling.answer_request(call.phone_call, url)
        return await self._send(call, *self._signed(request, proof))

    def _signed(self, request: WebhookRequest, proof: Proof) -> tuple[WebhookRequest, Headers]:
        at = time.time() - (600 if proof is Proof.STALE else 0)
        headers = self.signaling.sign(request, self.secrets, at)
        match proof:
            case Proof.MISSING:
                return request, {}
            case Proof.FORGED:
                return request, self.signaling.sign(request, account(self.name), at)
            case Proof.ALTERED:
                return replace(request, fields=_altered(request.fields)), headers
            case _:
                return request, headers

    async def _send(self, call: Call, request: WebhookRequest, headers: Headers) -> Answer:
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
    """Return the fields with another caller."""
    names = ("From", "CallFrom", "from")
    return {name: "+19005550199" if name in names else value for name, value in fields.items()}

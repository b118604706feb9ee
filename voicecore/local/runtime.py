"""The local AgentCore Runtime: everything in this package, put together and started.

async with LocalRuntime(settings, load_agent, on_event) as runtime:
await runtime.ready()  # raises AgentCrashed when the agent cannot start
...
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from voicecore.local.gateway.app import Door, FrontDoor
from voicecore.local.gateway.errors import denied
from voicecore.local.gateway.limits import (
    PAYLOAD_BYTES_MAX,
    SESSIONS_MAX,
    START_LIMIT,
    STREAM_SECONDS,
)
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import LocalCredentials, make_credentials
from voicecore.local.network.udp_block import public_network
from voicecore.local.processes.child import Guard
from voicecore.local.processes.ports import PortTaken
from voicecore.local.sessions.agent_process import AgentProcess, AgentSpec
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import LogLine, RuntimeEvent, RuntimeStatus, SpareStatus
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.local.sessions.sessions import Sessions
from voicecore.local.sessions.warm_pool import Pool, PoolChange

_LINES_KEPT = 200
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def local_arn(runtime_name: str, region: str) -> str:
    """Return the ARN of a runtime that exists only here (account 000000000000)."""
    return f"arn:aws:bedrock-agentcore:{region}:000000000000:runtime/{runtime_name}-local00000"


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """What the runtime is to be. `start_limit` is real seconds, `lifecycle` scaled ones."""

    root: Path  # the project; logs go to <root>/.voicecore/logs
    arn: str
    region: str
    watch: Path | None = None  # the folder whose saved files make a new version
    host: str = "127.0.0.1"
    port: int = 8080
    time_scale: float = 1.0
    credentials: LocalCredentials = field(default_factory=make_credentials)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    sessions_max: int = SESSIONS_MAX
    allowlist: tuple[str, ...] = ()
    qualifiers: tuple[str, ...] = ("DEFAULT",)
    start_limit: float = START_LIMIT
    public_network: bool = False  # block UDP, as AgentCore's PUBLIC mode does

    @property
    def logs(self) -> Path:
        """Where sessions and their helpers leave their logs."""
        return self.root / ".voicecore" / "logs"


def _ignore(event: RuntimeEvent) -> None:
    """Take no notice."""


async def _nothing(version: int) -> None:
    """Prepare nothing."""


class LocalRuntime:
    """Serves while its `async with` block is open; afterwards no process is left.

    `load_agent` is called for each process, so that a changed .env counts from the next one on;
    before it, `prepare` with the number of the version, which may take its time.
    `on_event` is called in the event loop and must not block.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        load_agent: Callable[[], AgentSpec],
        on_event: Callable[[RuntimeEvent], None] = _ignore,
        prepare: Callable[[int], Awaitable[None]] = _nothing,
    ) -> None:
        self.settings = settings
        self.logs = settings.logs
        self.clock = Clock(settings.time_scale)
        self._allowlist = check_allowlist(settings.allowlist)
        self._watched = settings.watch.resolve() if settings.watch else None
        self._hear = on_event
        self._trouble: RuntimeEvent | None = None
        self._lines: deque[LogLine] = deque(maxlen=_LINES_KEPT)
        self._guard = Guard()
        self._pool = Pool(load_agent, self._launch, self._spare_changed, prepare)
        self._sessions = Sessions(
            self._pool, self.clock, settings.lifecycle, settings.sessions_max, self._tell
        )
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._group: int | None = None

    @property
    def url(self) -> str:
        """The endpoint for AWS_ENDPOINT_URL_BEDROCK_AGENTCORE."""
        return f"http://{self.settings.host}:{self.settings.port}"

    @property
    def stream_seconds(self) -> float:
        """Real seconds until a stream is cut."""
        return self.clock.real(STREAM_SECONDS)

    async def __aenter__(self) -> Self:
        """Listen and start the first spare. Raises PortTaken and CannotBlock."""
        async with AsyncExitStack() as stack:
            if self.settings.public_network:
                self._group = stack.enter_context(public_network())
            await stack.enter_async_context(self._guard)
            self._http = await stack.enter_async_context(_client())
            stack.push_async_callback(self._pool.close, grace=1.0)
            await self._listen(stack, self._http)
            stack.push_async_callback(self._sessions.close)
            self._pool.refill()
            if self._watched is not None:
                watching = asyncio.create_task(self._pool.watch(self._watched))
                stack.callback(watching.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End sessions, then the server, the spare and the guard."""
        await self._stack.aclose()

    async def ready(self) -> None:
        """Wait for the first healthy spare. Raises AgentCrashed or AgentSilent."""
        await self._pool.ready()

    def snapshot(self) -> RuntimeStatus:
        """Return the runtime as it is now."""
        failure = self._pool.failure
        return RuntimeStatus(
            project=str(self.settings.root),
            url=self.url,
            arn=self.settings.arn,
            region=self.settings.region,
            time_scale=self.settings.time_scale,
            version=self._pool.version,
            spare=SpareStatus(
                self._pool.state,
                self._pool.version,
                failure.message if failure else None,
                failure.hint if failure else None,
            ),
            sessions=self._sessions.status(),
            lines=tuple(self._lines),
            trouble=self._trouble,
        )

    def _tell(self, event: RuntimeEvent) -> None:
        if event.kind in ("refused", "failed"):
            self._trouble = event
        self._hear(event)

    async def _listen(self, stack: AsyncExitStack, http: aiohttp.ClientSession) -> None:
        settings = self.settings
        door = Door(
            settings.arn,
            settings.region,
            settings.qualifiers,
            settings.credentials,
            self._allowlist,
        )
        front = FrontDoor(door, self._sessions, http, self.clock, self._tell)
        app = web.Application(client_max_size=PAYLOAD_BYTES_MAX)
        app.router.add_get("/_voicecore/status", self._status)
        app.router.add_route("*", "/{path:.*}", front.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"Port {settings.port} is taken.",
                "Another `voicecore dev` may run; end it, or choose a port with --port.",
            ) from error

    async def _status(self, request: web.Request) -> web.Response:
        # A web page can resolve its own name to 127.0.0.1 and read us; its Host header tells.
        if urlsplit(f"//{request.host}").hostname not in _LOOPBACK:
            refusal = denied("The status is for this machine.", f"Open {self.url}.")
            return web.json_response(refusal.body(), status=refusal.status)
        return web.json_response(self.snapshot().document())

    async def _launch(self, spec: AgentSpec, version: int) -> AgentProcess:
        if self._http is None:
            raise RuntimeError("the runtime is not started")
        return await AgentProcess.start(
            spec,
            version,
            self.logs,
            self._guard,
            self._http,
            self.settings.start_limit,
            self._take_lines,
            self._group,
        )

    def _take_lines(self, agent: AgentProcess, lines: list[str]) -> None:
        for line in lines:
            self._lines.append(LogLine(agent.session_id, line))
            self._tell(RuntimeEvent("log", line, agent.session_id))

    def _spare_changed(self, change: PoolChange) -> None:
        version, failure = self._pool.version, self._pool.failure
        if failure is not None:
            self._tell(RuntimeEvent("failed", failure.message, hint=failure.hint))
        elif change == "ready":
            self._tell(RuntimeEvent("ready", f"version {version} is warm"))
        else:
            self._tell(RuntimeEvent("reloaded", f"version {version} serves new sessions"))


def _client() -> aiohttp.ClientSession:
    """Return the client towards the agents: no limits of its own, nothing added or undone."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
        trust_env=False,  # a proxy of the user's must not come between us and 127.0.0.1
    )

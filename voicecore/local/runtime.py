"""Owns the local AgentCore Runtime: it connects gateway, sessions and spare process."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

from voicecore.catalog import regions
from voicecore.catalog.platforms import V1, V2
from voicecore.console.output import wrapped
from voicecore.local.gateway.app import Gateway, GatewayConfig
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import LocalCredentials, make_credentials
from voicecore.local.limits import (
    PAYLOAD_BYTES_MAX,
    SESSIONS_MAX,
    START_LIMIT,
    STREAM_SECONDS,
)
from voicecore.local.network.udp_block import udp_blocked_group
from voicecore.local.processes.child import Reaper
from voicecore.local.processes.ports import PortInUse
from voicecore.local.sessions.agent_process import (
    KEY_HEADER,
    KEY_VARIABLE,
    AgentHost,
    AgentProcess,
    AgentSpec,
)
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import LogLine, RuntimeEvent, RuntimeStatus, SpareStatus
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.local.sessions.log_writer import capture_of
from voicecore.local.sessions.session_table import SessionTable
from voicecore.local.sessions.single_pool import SinglePool
from voicecore.local.sessions.snapshot_pool import SnapshotPool
from voicecore.local.sessions.warm_pool import PoolChange, WarmPool

if TYPE_CHECKING:
    from voicecore.local.gateway.jwt_authorizer import JwtAuthorizer
    from voicecore.local.network.aws_host import AwsHost

_LINES_KEPT = 200
_TROUBLES_KEPT = 20
_LINE_WIDTH = 78
_OPEN_AGENT = (
    f"The agent answers requests without the header {KEY_HEADER}: any program and web page on this "
    f"machine can use it and its AWS credentials. Compare the header with the variable "
    f"{KEY_VARIABLE}, if it is set, and answer 403."
)


def local_arn(runtime_name: str, region: str) -> str:
    """Return the ARN of a local runtime (account 000000000000)."""
    head = f"arn:{regions.partition_of(region)}:bedrock-agentcore:{region}"
    return f"{head}:000000000000:runtime/{runtime_name}-local00000"


@dataclass(frozen=True, kw_only=True)
class RuntimeSettings:
    """Settings of the runtime. `start_limit` is in real seconds, `lifecycle` in scaled ones."""

    root: Path  # the project; logs go to <root>/.voicecore/logs
    arn: str
    region: str
    watch: Path | None = None  # folder of the agent's code; saving a file in it makes a new version
    host: str = "127.0.0.1"
    port: int = 8080
    time_scale: float = 1.0
    credentials: LocalCredentials = field(default_factory=make_credentials)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    sessions_max: int = SESSIONS_MAX
    allowlist: tuple[str, ...] = ()
    qualifiers: tuple[str, ...] = ("DEFAULT",)
    start_limit: float = START_LIMIT
    block_udp: bool = False  # as AgentCore's PUBLIC network mode does
    platform: str = V1
    strict: bool = False  # refuse also what AWS may refuse
    authorizer: JwtAuthorizer | None = None
    agent_port: int = 0  # where the agent always listens: then, one session at a time
    aws_host: AwsHost | None = None  # listen there, too

    @property
    def logs(self) -> Path:
        """Folder of all logs."""
        return self.root / ".voicecore" / "logs"


def _ignore(event: RuntimeEvent) -> None:
    """Drop the event."""


async def _prepare_nothing(version: int) -> None:
    """Return at once."""


class LocalRuntime:
    """Serves while its `async with` block is open; afterwards no process is left.

    Each start of a process awaits `prepare` with the number of the version, then calls
    `load_agent`, so the next process sees a changed .env. `on_event` runs in the event loop and
    must not block.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        load_agent: Callable[[], AgentSpec],
        on_event: Callable[[RuntimeEvent], None] = _ignore,
        prepare: Callable[[int], Awaitable[None]] = _prepare_nothing,
    ) -> None:
        self.settings = settings
        self.logs = settings.logs
        self.clock = Clock(settings.time_scale)
        self._allowlist = check_allowlist(settings.allowlist)
        self._watched = settings.watch.resolve() if settings.watch else None
        self._on_event = on_event
        self._troubles: deque[RuntimeEvent] = deque(maxlen=_TROUBLES_KEPT)
        self._warned_of = 0  # version
        self._lines: deque[LogLine] = deque(maxlen=_LINES_KEPT)
        self._captures: set[tuple[int, str]] = set()
        self._reaper = Reaper()
        pool = SnapshotPool if settings.platform == V2 else WarmPool
        limit = settings.sessions_max
        if settings.agent_port:
            pool, limit = SinglePool, 1
        self._pool = pool(load_agent, self._launch, self._spare_changed, prepare)
        self._sessions = SessionTable(self._pool, self.clock, settings.lifecycle, limit, self._emit)
        self._stack = AsyncExitStack()
        self._http: aiohttp.ClientSession | None = None
        self._group: int | None = None

    @property
    def url(self) -> str:
        """The endpoint for AWS_ENDPOINT_URL_BEDROCK_AGENTCORE."""
        return f"http://{self.settings.host}:{self.settings.port}"

    @property
    def stream_seconds(self) -> float:
        """Real seconds after which a stream is closed."""
        return self.clock.real(STREAM_SECONDS)

    async def __aenter__(self) -> Self:
        """Listen and start the first spare. Raises PortInUse and UdpBlockUnavailable."""
        async with AsyncExitStack() as stack:
            if self.settings.block_udp:
                self._group = stack.enter_context(udp_blocked_group())
            await stack.enter_async_context(self._reaper)
            self._http = await stack.enter_async_context(_client())
            stack.push_async_callback(self._pool.close, grace=1.0)
            await self._listen(stack, self._http)
            stack.push_async_callback(self._sessions.close)
            if self._watched is not None:
                watching = asyncio.create_task(self._pool.watch(self._watched))
                stack.callback(watching.cancel)
                await asyncio.sleep(0)  # the task watches the folders before it first waits
            self._pool.refill()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End sessions, then the HTTP server, the spare and the reaper."""
        await self._stack.aclose()

    async def ready(self) -> None:
        """Wait for the first healthy spare. Raises AgentCrashed or AgentStartTimeout."""
        await self._pool.ready()

    def snapshot(self) -> RuntimeStatus:
        """Return the current status of the runtime."""
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
                _OPEN_AGENT if self._pool.is_open else None,
            ),
            sessions=self._sessions.status(),
            lines=tuple(self._lines),
            troubles=tuple(self._troubles),
        )

    def _emit(self, event: RuntimeEvent) -> None:
        if event.kind in ("refused", "failed"):
            self._troubles.append(event)
        elif event.kind in ("ready", "reloaded"):  # the agent starts again
            of_sessions = [trouble for trouble in self._troubles if trouble.session_id]
            self._troubles = deque(of_sessions, maxlen=_TROUBLES_KEPT)
        self._on_event(event)

    def _tell(self, event: RuntimeEvent) -> None:
        """Emit an event of the gateway, and keep it among the lines that the live screen shows."""
        sign = "✗" if event.kind == "refused" else "!"
        for line in wrapped(f"{sign} {event.text} {event.hint or ''}", _LINE_WIDTH):
            self._lines.append(LogLine(event.session_id, line))
        self._emit(event)

    async def _listen(self, stack: AsyncExitStack, http: aiohttp.ClientSession) -> None:
        settings = self.settings
        config = GatewayConfig(
            settings.arn,
            settings.region,
            settings.qualifiers,
            settings.credentials,
            self._allowlist,
            settings.strict,
            settings.authorizer,
        )
        gateway = Gateway(config, self._sessions, http, self.clock, self._tell, self.snapshot)
        app = web.Application(client_max_size=PAYLOAD_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", gateway.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUse(
                f"Port {settings.port} is in use.",
                "Stop the other program (another `voicecore dev`?) or choose a port with --port.",
            ) from error
        if aws := settings.aws_host:
            await web.SockSite(runner, aws.socket, ssl_context=aws.context).start()

    async def _launch(self, spec: AgentSpec, version: int) -> AgentProcess:
        if self._http is None:
            raise RuntimeError("the runtime is not started")
        host = AgentHost(
            self.logs,
            self._reaper,
            self._http,
            self.settings.start_limit,
            self._add_lines,
            self._group,
        )
        return await AgentProcess.start(spec, version, host)

    def _add_lines(self, agent: AgentProcess, lines: list[str]) -> None:
        for line in lines:
            self._lines.append(LogLine(agent.session_id, line))
            capture = capture_of(line)
            if capture is None:
                self._emit(RuntimeEvent("log", line, agent.session_id))
            elif (agent.version, capture) not in self._captures:
                self._captures.add((agent.version, capture))
                self._emit(RuntimeEvent("advice", capture, agent.session_id))

    def _spare_changed(self, change: PoolChange) -> None:
        version, failure = self._pool.version, self._pool.failure
        if failure is not None:
            self._emit(RuntimeEvent("failed", failure.message, hint=failure.hint))
        elif change == "ready":
            self._emit(RuntimeEvent("ready", f"version {version} {self._pool.readiness}"))
            if self._pool.is_open and self._warned_of != version:
                self._warned_of = version
                self._emit(RuntimeEvent("advice", _OPEN_AGENT))
        else:
            self._emit(RuntimeEvent("reloaded", f"version {version} serves new sessions"))


def _client() -> aiohttp.ClientSession:
    """Return an HTTP client without limits that changes neither headers nor bodies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
        trust_env=False,  # requests to 127.0.0.1 must not go through the user's proxy
    )

"""Owns AgentCore Runtime's contract for a container: /ping, /ws and /invocations on one port.

On platform V1, /ping must answer within 30 s of the start or AgentCore gives up. So the server
starts first and imports the pipeline (models, Pipecat) in the background; an early caller waits for
it. V2 allows 120 s, and after the first healthy /ping takes a snapshot that all sessions continue.
So there the pipeline is imported first; session_start.py says what a snapshot must not contain.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
from bedrock_agentcore.runtime import PingStatus
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from . import gateway_only, keys, logs, session_start, session_stop

SocketHandler = Callable[[WebSocket, RequestContext], Awaitable[None]]
RequestHandler = Callable[[Any], Awaitable[dict[str, Any]]]

# The session server signs it into the URLs that it hands out; callers cannot leave it out.
OPENED = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Opened"
# Code that closes the socket of a caller whose session has ended.
ENDED = 4404


class Agent(BedrockAgentCoreApp):
    """AgentCore's app, with the transports that answer it."""

    loop: asyncio.AbstractEventLoop
    """The server's event loop, once it has started."""

    def __init__(self) -> None:
        # Taken from the environment, so that no program that the bot starts has the key.
        key = os.environ.pop(gateway_only.VARIABLE, "")
        guard = [Middleware(gateway_only.GatewayOnly, key)] if key else []
        begin = [Middleware(FirstRequest, self.begin)] if session_start.ON_V2 else []
        super().__init__(lifespan=load_in_background, middleware=[*guard, *begin])
        self.sockets: dict[str, SocketHandler] = {}
        """Handlers of /ws by transport; the first is the default."""
        self.requests: dict[str, RequestHandler] = {}
        """Handlers of /invocations by the type of the request."""
        self.opened = ""
        """Transport that the session server has opened the session of this process for."""
        self.loaded = asyncio.Event()
        self.prepare: Callable[[], Awaitable[None]]
        """Creates what the first call of the session needs; set when the pipeline is loaded."""
        self._beginning: asyncio.Task[None] | None = None
        self.websocket(self.answer)
        self.entrypoint(self.invoke)

    def get_current_ping_status(self) -> PingStatus:
        """Return the status. The idle time counts from the session, not from the snapshot."""
        if not session_start.has_begun():
            self._last_status_update_time = time.time()
        return super().get_current_ping_status()

    async def begin(self) -> None:
        """Begin the session that continues a snapshot, once. A failure ends the process."""
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())
        await asyncio.shield(self._beginning)

    async def _begin(self) -> None:
        try:
            await session_start.begin()
        except Exception as error:  # the session cannot work, whatever the reason
            logs.fail(error)
        self._last_status_update_time = time.time()
        self._preparing = asyncio.ensure_future(self.prepare())  # nothing waits for it

    async def invoke(self, payload: Any, context: RequestContext) -> dict[str, Any]:
        """Answer /invocations, which starts calls; without a type, return the transports."""
        kind = payload.get("type") if isinstance(payload, dict) else None
        if kind:
            session_stop.learn(payload.get("endpoint"))
        if not kind:
            return {"status": "ok", "transports": ["websocket"]}
        if kind == "open":
            self.opened = payload["data"]["transport"]
            return {"status": "open"}
        if kind == "state":
            return {"status": "ok", "calls": self.get_async_task_info()["active_count"]}
        responding = self.respond(str(kind), payload.get("data"), context)
        # The SDK calls this on another loop; conversations run on the server's.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(responding, self.loop))

    async def respond(self, kind: str, data: Any, context: RequestContext) -> dict[str, Any]:
        """Pass the request to the transport that handles its type."""
        logs.use_session(context.session_id or "local")
        await self.loaded.wait()
        respond = self.requests.get(kind)
        if respond is None:
            known = ", ".join(["open", "state", *self.requests])
            return {"error": {"code": "unknown_request", "message": f"Known types: {known}."}}
        return await respond(data)

    async def answer(self, socket: WebSocket, context: RequestContext) -> None:
        """Answer /ws with the transport that the caller asks for; stay busy until it ends."""
        logs.use_session(context.session_id or "local")
        name = socket.headers.get("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport")
        if OPENED in socket.headers:
            # Not the header, which a caller can add to a presigned URL: only its query is signed.
            name = self.opened
            if not name:
                session_stop.learn(socket.headers[OPENED])
                await self.refuse(socket)
                return
        await self.loaded.wait()
        handler = self.sockets.get(name or next(iter(self.sockets), ""))
        if handler is None:
            await socket.close(1008, "unknown transport")
            return
        # HealthyBusy on /ping keeps AgentCore from ending the session as idle.
        task = self.add_async_task("conversation")
        try:
            await handler(socket, context)
        finally:
            self.complete_async_task(task)

    async def refuse(self, socket: WebSocket) -> None:
        """Refuse a caller whose session has ended, and end the microVM that this has started.

        The end of a session ends its process. A URL of before, which is valid for 300 s, then
        starts another, which the session server has not opened.
        """
        logs.write("connection_refused", level="WARNING", reason="the session has ended")
        await socket.accept()  # AgentCore would report a refused handshake as a failed agent
        await socket.close(ENDED, "This session has ended; start another.")
        await asyncio.to_thread(session_stop.stop, logs.session())


class FirstRequest:
    """Begins the session before its first request is answered; /ping does not count."""

    def __init__(self, app: ASGIApp, begin: Callable[[], Awaitable[None]]) -> None:
        self._app, self._begin = app, begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] != "/ping":
            await self._begin()
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def load_in_background(agent: Agent) -> AsyncIterator[None]:
    """Load the agent in a thread while the server already answers, unless it is loaded."""
    agent.loop = loop = asyncio.get_running_loop()

    def load_then_answer() -> None:
        load(agent)
        loop.call_soon_threadsafe(agent.loaded.set)

    if not agent.loaded.is_set():
        # Not asyncio.to_thread: Ctrl-C must not wait for the models.
        threading.Thread(target=load_then_answer, name="load", daemon=True).start()
    yield


def load(agent: Agent) -> None:
    """Import the pipeline; a failure ends the process."""
    try:
        import_pipeline(agent)
    except (Exception, SystemExit) as error:  # bot.py may raise any
        logs.fail(error)


def load_for_snapshot(agent: Agent) -> None:
    """Load the agent, and leave nothing of it running."""
    load(agent)
    # Those of the models, which have been told to end.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(timeout=1)
    agent.loaded.set()


def import_pipeline(agent: Agent) -> None:
    """Import bot.py, and let each transport register its handlers."""
    # onnxruntime, which runs the speech detector, would report to Microsoft.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if session_start.ON_V2:
        # numpy's pool of threads, which nothing here uses, would be in the snapshot.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        session_start.draw_trace_ids_from_system()
        keys.stand_in()
    else:
        keys.read()
    from . import websocket
    from .conversation import Conversation, warm_up

    warm_up()
    conversation = Conversation()
    agent.prepare = conversation.prepare
    if not session_start.ON_V2:
        asyncio.run(conversation.prepare())
    websocket.register(agent, conversation)
    if session_start.ON_V2:
        gc.collect()  # what the warm-up has left would be in the snapshot
    # Exempt all objects loaded so far from garbage collection: a collection stops audio for 0.1 s.
    gc.freeze()
    logs.write_ready()


def trace() -> None:
    """Restart under OpenTelemetry if its package is installed and AgentCore names the agent.

    README.md says how to install it. Without the package this costs nothing.
    """
    instrumentation = "opentelemetry.instrumentation.auto_instrumentation"
    if "OTEL_RESOURCE_ATTRIBUTES" not in os.environ or instrumentation in sys.modules:
        return
    with contextlib.suppress(ModuleNotFoundError):
        instrument = importlib.import_module(instrumentation).run
        sys.argv = ["opentelemetry-instrument", sys.executable, *sys.orig_argv[1:]]
        instrument()


if __name__ == "__main__":
    trace()
    logs.set_up()
    agent = Agent()
    if session_start.ON_V2:
        load_for_snapshot(agent)
    agent.run(
        # The SDK would listen on all addresses in any container, such as a developer's.
        host="0.0.0.0" if os.environ.get("DOCKER_CONTAINER") else "127.0.0.1",
        port=int(os.environ.get("PORT", "8080")),
        log_config=None,  # logs.py has configured logging
        ws_per_message_deflate=False,  # audio does not compress; trying costs time
        timeout_graceful_shutdown=10,  # AgentCore kills after 15 s
    )

"""The session server: your clients talk to the agent without AWS credentials.

POST /start opens a session, or resumes one, for a caller with the key, an invite or a JWT. All
other requests for the session need the token that /start returned.
"""

# No `from __future__ import annotations`: FastAPI could not resolve the types inside create_app.

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.middleware.cors import CORSMiddleware

from . import api_errors, logs, settings, static_page, websocket
from .access import INVITE_ID, INVITED, Access, Session, new_session_id
from .agentcore import AgentCore
from .api_errors import ApiError, answers
from .api_models import Config, EndedSessions, SessionId, SessionState, Started, StartRequest
from .limits import Limits
from .local_only import LocalOnly
from .metrics import Metrics
from .middleware import RequestMiddleware
from .open_sessions import OpenSessions
from .session_table import has_ended, is_revoked, table_of

Start = Callable[[AgentCore, str], Awaitable[dict[str, Any]]]

PROJECT = "mine"
TRANSPORTS: dict[str, Start] = {
    "websocket": websocket.start,
}
# Their /start names the caller, and the agent believes it: only the key starts them.
BY_PHONE: tuple[str, ...] = ()
# For calls that block: TURN credentials of several callers at once.
THREADS = 64
# A proxy keeps connections open for its next request, most for a minute or two, and should be the
# one to close them. Other clients' idle connections are closed after 5 s.
KEEP_ALIVE_SECONDS, UNTRUSTED_KEEP_ALIVE_SECONDS = 150, 5
# For open requests when the server stops: most take less than 5 s.
SHUTDOWN_SECONDS = 30


def create_app(environment: Mapping[str, str]) -> FastAPI:
    """Return the server for this environment. Raises SystemExit, which lists all mistakes."""
    config = settings.read(environment)
    access, metrics, table = Access(config), Metrics(), table_of(config.store, config.region)
    agentcore = AgentCore(config.arn, config.endpoint, config.region, metrics)
    open_sessions = OpenSessions(table, agentcore)
    limits = Limits(table, config, open_sessions.free)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        async with agentcore.open():
            yield
        await table.close()

    app = FastAPI(
        title=f"{PROJECT} sessions", lifespan=lifespan, docs_url=None, redoc_url=None
    )  # FastAPI's documentation pages load scripts from other sites

    async def counted(request: Request) -> None:
        await limits.request(request.client.host if request.client else "")

    async def require_valid(who: str) -> None:
        if await is_revoked(table, who):
            raise ApiError(401, "unauthorized", "This invite was revoked.")

    async def caller(request: Request, authorization: Annotated[str, Header()] = "") -> str:
        await counted(request)
        who = await access.caller_of(authorization)
        await require_valid(who)
        return who

    async def session(
        session_id: SessionId, x_session_token: Annotated[str, Header()] = ""
    ) -> Session:
        return await admitted(access.session_of(session_id, x_session_token))

    async def admitted(session: Session) -> Session:
        await require_valid(session.caller)
        if await has_ended(table, session):
            raise ApiError(404, "no_session", "This session has ended.")
        return session

    async def is_still_open(session: Session) -> bool:
        """Return False if the session ended while its agent was asked, and stop it once more.

        The request may have started the agent after the end had stopped it.
        """
        try:
            await admitted(session)
        except ApiError:
            await agentcore.stop(session.id)
            await table.release(session)
            return False
        return True

    async def require_key(authorization: Annotated[str, Header()] = "") -> None:
        if not access.has_key(authorization):
            raise ApiError(401, "unauthorized", "Send the header Authorization: Bearer <key>.")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/config", responses=answers(429))
    async def about() -> Config:
        return Config(project=PROJECT, transports=list(TRANSPORTS))

    @app.get(
        "/metrics",
        dependencies=[Depends(counted), Depends(require_key)],
        response_class=PlainTextResponse,
        responses=answers(401, 429),
    )
    async def show_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.delete(
        "/invites/{invite_id}",
        dependencies=[Depends(counted), Depends(require_key)],
        responses=answers(401, 422, 429, 502, 503, 504),
    )
    async def revoke_invite(invite_id: Annotated[str, Path(pattern=INVITE_ID)]) -> EndedSessions:
        return EndedSessions(ended=await open_sessions.revoke(invite_id))

    @app.post(
        "/start",
        response_model=Started,
        responses=answers(400, 401, 403, 404, 408, 413, 422, 429, 502, 503, 504),
    )
    async def start(
        who: Annotated[str, Depends(caller)], body: StartRequest | None = None
    ) -> JSONResponse:
        body = body or StartRequest()
        await limits.start(who)
        before = await session(body.sessionId, body.token) if body.sessionId else None
        if before and before.caller != who:
            raise ApiError(403, "wrong_token", "Another caller started this session.")
        transport = transport_of(body, who, before)
        id, since = (before.id, before.since) if before else (new_session_id(), int(time.time()))
        started = Session(id, who, transport, since)
        await limits.hold(started)
        async with nullcontext() if before else limits.released_on_failure(started):
            connection = await TRANSPORTS[started.transport](agentcore, started.id)
        if (before or who.startswith(INVITED)) and not await is_still_open(started):
            raise ApiError(404, "no_session", "This session has ended.")
        event = "resumed" if before else "started"
        metrics.session(event, started.transport)
        logs.write(f"session_{event}", started.id, caller=who, transport=started.transport)
        token = access.token_for(started)
        answer = {"sessionId": started.id, "token": token, "transport": started.transport}
        return JSONResponse(answer | connection)

    @app.get(
        "/sessions/{session_id}",
        dependencies=[Depends(counted)],
        responses=answers(401, 403, 404, 422, 429, 502, 503, 504),
    )
    async def state(mine: Annotated[Session, Depends(session)]) -> SessionState:
        since = datetime.fromtimestamp(mine.since, UTC)
        seconds = max(0, int(time.time()) - mine.since)
        return SessionState(transport=mine.transport, since=since, seconds=seconds)

    @app.delete(
        "/sessions/{session_id}",
        status_code=204,
        dependencies=[Depends(counted)],
        responses=answers(403, 422, 429, 502, 503, 504),
    )
    async def hang_up(
        session_id: SessionId, x_session_token: Annotated[str, Header()] = ""
    ) -> None:
        mine = access.session_of(session_id, x_session_token)
        await open_sessions.end(mine)
        metrics.session("stopped", mine.transport)
        logs.write("session_stopped", mine.id, caller=mine.caller, transport=mine.transport)

    app.state.table, app.state.open_sessions = table, open_sessions
    static_page.serve(app, lambda: agentcore.websocket_origin)
    api_errors.install(app, table.errors)
    if config.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.allowed_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Session-Token"],
            expose_headers=["Retry-After"],
        )
    if config.local_hosts:
        hosts, origins = config.local_hosts, config.allowed_origins
        app.add_middleware(LocalOnly, hosts=hosts, origins=origins)
    app.add_middleware(
        RequestMiddleware, metrics=metrics, requests_per_minute=config.requests_per_minute
    )
    if config.trusted_proxies:
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(config.trusted_proxies))
    return app


def transport_of(body: StartRequest, who: str, before: Session | None) -> str:
    """Return the requested transport, or the session's, or the default. Raises ApiError."""
    theirs = [name for name in TRANSPORTS if who == "key" or name not in BY_PHONE]
    # Pipecat's SmallWebRTCTransport sends this instead of a transport.
    speaks_webrtc = body.enableDefaultIceServers and "webrtc" in TRANSPORTS
    default = "webrtc" if speaks_webrtc else [*theirs, *TRANSPORTS][0]
    name = body.transport or (before.transport if before else default)
    if name not in TRANSPORTS:
        known = " and ".join(TRANSPORTS)
        raise ApiError(422, "unknown_transport", f"This agent supports {known}.")
    if name not in theirs:
        message = "Only the key starts sessions that send a phone provider's frames."
        raise ApiError(403, "key_required", message)
    return name


def main(environment: Mapping[str, str]) -> None:
    """Serve on HOST and PORT until SIGTERM, then finish open requests."""
    # AWS Lambda, which does not run this function, starts faster without these.
    import uvicorn

    from . import http_protocol

    logs.set_up()
    ours = settings.read(environment)
    app = create_app(environment)
    keep_alive = KEEP_ALIVE_SECONDS if ours.trusted_proxies else UNTRUSTED_KEEP_ALIVE_SECONDS
    config = uvicorn.Config(
        app,
        host=ours.host,
        port=ours.port,
        http=http_protocol.protocol(ours),
        ws="none",
        proxy_headers=False,  # ProxyHeadersMiddleware checks TRUSTED_PROXIES
        server_header=False,
        # `voicecore dev` tells its own server from another one on the same port.
        headers=[("X-Voicecore-Run", run)] if (run := environment.get("VOICECORE_RUN")) else [],
        log_config=None,
        access_log=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run()


def __getattr__(name: str) -> FastAPI:
    """Create the app for `uvicorn internal.server:app`, but not when tests import this module."""
    if name == "app":
        return create_app(os.environ)
    raise AttributeError(name)


if __name__ == "__main__":
    main(os.environ)

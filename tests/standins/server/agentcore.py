"""Owns a stand-in for AgentCore's data plane, as the session server uses it, with failures."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.standins import site
from tests.standins.background import in_background

ANSWER = {"sdp": "v=0\r\n", "type": "answer", "pc_id": "SmallWebRTCConnection#0"}
STREAM = "text/event-stream"
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@dataclass
class AgentCore:
    """Its behavior and the calls it received; tests may change all of it while it runs."""

    url: str = ""
    seconds: float = 0.0
    """Duration of each call."""
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """(status, code) of the next calls; the last one repeats."""
    hangs: bool = False
    streams: bool = False
    """True when it answers with server-sent events, as the agents in Pipecat's examples do."""
    calls: Counter[str] = field(default_factory=Counter)
    most: int = 0
    """Highest number of calls in progress at the same time."""
    sessions: set[str] = field(default_factory=set)
    called: threading.Event = field(default_factory=threading.Event)
    talking: set[str] = field(default_factory=set)
    """Sessions whose agents say that they have a call."""
    is_old: bool = False
    """True when its agents do not know what they are asked for: their state."""
    stopped: list[str] = field(default_factory=list)
    _now: int = 0

    async def invoke(self, request: web.Request) -> web.Response:
        document = json.loads(await request.read())
        session = request.headers[SESSION]
        self.sessions.add(session)
        answer = {"answer": ANSWER} if document["type"] == "offer" else {"status": "success"}
        if document["type"] == "state":
            answer = {"status": "ok", "calls": int(session in self.talking)}
            if self.is_old:
                answer = {"error": {"code": "unknown_request", "message": "Known types: open."}}
        return await self._answer(document["type"], answer)

    async def stop(self, request: web.Request) -> web.Response:
        self.stopped.append(request.headers[SESSION])
        return await self._answer("stop", {})

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Be an agent that repeats all that it hears."""
        agent = web.WebSocketResponse()
        await agent.prepare(request)
        async for message in agent:
            if isinstance(message.data, str):
                await agent.send_str(message.data)
            else:
                await agent.send_bytes(message.data)
        return agent

    async def _answer(self, kind: str, answer: dict[str, Any]) -> web.Response:
        self.calls[kind] += 1
        self.called.set()
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(3600 if self.hangs else self.seconds)
        finally:
            self._now -= 1
        if self.refusals:
            status, code = self.refusals[0] if len(self.refusals) == 1 else self.refusals.pop(0)
            if status != 200:
                body = {"message": f"a secret of {code}"}
                return web.json_response(body, status=status, headers={"x-amzn-ErrorType": code})
        if self.streams:
            return web.Response(text=f"data: {json.dumps(answer)}\n\n", content_type=STREAM)
        return web.json_response(answer)


@contextmanager
def agentcore() -> Iterator[AgentCore]:
    """Run the stand-in on a port of its own while the block runs."""
    aws, app = AgentCore(), web.Application(client_max_size=10**6)
    app.router.add_post("/runtimes/{arn}/invocations", aws.invoke)
    app.router.add_post("/runtimes/{arn}/stopruntimesession", aws.stop)
    app.router.add_get("/runtimes/{arn}/ws", aws.connect)
    with in_background(site.serving(app, shutdown_seconds=0.1, backlog=1024)) as served:
        aws.url = served.url
        yield aws

"""Owns a running local runtime for tests: its project, its events, signed clients."""

import asyncio
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import boto3
import yarl
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.ports import free_port
from voicecore.catalog.platforms import V2
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.sessions.agent_process import AgentSpec, restorable
from voicecore.local.sessions.events import RuntimeEvent

REGION = "us-east-1"
ARN = local_arn("my_agent", REGION)
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
APP = Path(__file__).with_name("agent_app.py")


def new_session() -> str:
    return f"call-{uuid.uuid4()}"


@dataclass
class RuntimeLab:
    """A runtime under test, its events, and clients that know its credentials."""

    runtime: LocalRuntime
    folder: Path
    events: list[RuntimeEvent] = field(default_factory=list)

    def texts(self, kind: str) -> list[str]:
        """The texts of all events of this kind."""
        return [event.text for event in self.events if event.kind == kind]

    def boto3(self, **changes: Any) -> Any:
        """Return a `bedrock-agentcore` client that takes nothing from the environment."""
        pair = self.runtime.settings.credentials
        return boto3.client(
            "bedrock-agentcore",
            **{
                "region_name": REGION,
                "endpoint_url": self.runtime.url,
                "aws_access_key_id": pair.access_key_id,
                "aws_secret_access_key": pair.secret_access_key,
                "config": Config(retries={"max_attempts": 0}),
                **changes,
            },
        )

    async def invoke(self, payload: bytes = b"{}", session: str | None = None, **more: Any) -> Any:
        session = session or new_session()
        return await asyncio.to_thread(
            lambda: self.boto3().invoke_agent_runtime(
                agentRuntimeArn=ARN, runtimeSessionId=session, payload=payload, **more
            )
        )

    async def ask(self, payload: bytes = b"{}", session: str | None = None) -> Any:
        """Return the agent's JSON answer; a thread reads it, because the event loop serves it."""
        answer = await self.invoke(payload, session)
        return json.loads(await asyncio.to_thread(answer["response"].read))

    async def stop(self, session: str) -> Any:
        return await asyncio.to_thread(
            lambda: self.boto3().stop_runtime_session(agentRuntimeArn=ARN, runtimeSessionId=session)
        )

    def url(
        self,
        session: str | None,
        query: str = "qualifier=DEFAULT",
        arn: str = ARN,
        encoded: str | None = None,
        host: str = "",
    ) -> str:
        """Return a presigned ws URL, as the session server creates it."""
        pair = self.runtime.settings.credentials
        query += f"&{SESSION}={session}" if session else ""
        path = f"/runtimes/{encoded or quote(arn, safe='')}/ws?{query}"
        request = AWSRequest("GET", url=f"{host or self.runtime.url}{path}")
        credentials = Credentials(pair.access_key_id, pair.secret_access_key)
        SigV4QueryAuth(credentials, "bedrock-agentcore", REGION, expires=300).add_auth(request)
        assert request.url
        return request.url.replace("http", "ws", 1)

    def connect(
        self, session: str | None = None, url: str | None = None, **more: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return connect(url or self.url(session or new_session()), **more)

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until `condition` holds; fail after `seconds`, which only a broken test reaches."""
        assert await self.wait(condition, seconds), self.events

    async def wait(self, condition: Callable[[], Any], seconds: float) -> bool:
        """Wait until `condition` holds or `seconds` have passed; return whether it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def sessions(self) -> list[str]:
        return [session.id for session in self.runtime.snapshot().sessions]


@asynccontextmanager
async def connect(url: str, **more: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        # encoded: yarl would decode %3A in the path, which changes the signed request
        http.ws_connect(yarl.URL(url, encoded=True), max_msg_size=0, **more) as socket,
    ):
        yield socket


@asynccontextmanager
async def runtime_lab(
    folder: Path, mode: str = "", app: Path = APP, **settings: Any
) -> AsyncIterator[RuntimeLab]:
    """Run a copy of the test agent in `folder`; all processes end with the block.

    `mode` selects a misbehavior of the agent, see agent_app.py.
    """
    agent = folder / "agent"
    agent.mkdir(exist_ok=True)
    if not (agent / "app.py").exists():
        shutil.copy(app, agent / "app.py")
    events: list[RuntimeEvent] = []
    env = {**os.environ, "MODE": mode, "HEARD": str(folder / "heard.jsonl")}
    spec = AgentSpec((sys.executable, "app.py"), agent, env)
    if settings.get("platform") == V2:
        spec = restorable(spec)
    chosen = RuntimeSettings(
        **{"root": folder, "arn": ARN, "region": REGION, "port": free_port(), **settings}
    )
    async with LocalRuntime(chosen, lambda: spec, events.append) as runtime:
        yield RuntimeLab(runtime, folder, events)


def alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not count."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return sys.platform != "linux"

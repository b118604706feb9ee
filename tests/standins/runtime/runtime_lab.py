"""What the tests of the local runtime share: a project, a running runtime, signed clients."""

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

from voicecore.local.processes.ports import free_port
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.sessions.agent_process import AgentSpec
from voicecore.local.sessions.events import RuntimeEvent

REGION = "us-east-1"
ARN = local_arn("my_agent", REGION)
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
APP = Path(__file__).with_name("agent_app.py")


def new_session() -> str:
    return f"call-{uuid.uuid4()}"


@dataclass
class Lab:
    """A runtime under test, what it told, and clients that know its credentials."""

    runtime: LocalRuntime
    folder: Path
    events: list[RuntimeEvent] = field(default_factory=list)

    def told(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    def boto3(self, **changes: Any) -> Any:
        """A `bedrock-agentcore` client as any program makes it, but for the environment."""
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
        """The JSON that the agent answers; read off the loop, which is what serves it."""
        answer = await self.invoke(payload, session)
        return json.loads(await asyncio.to_thread(answer["response"].read))

    async def stop(self, session: str) -> Any:
        return await asyncio.to_thread(
            lambda: self.boto3().stop_runtime_session(agentRuntimeArn=ARN, runtimeSessionId=session)
        )

    def url(self, session: str | None, query: str = "qualifier=DEFAULT", arn: str = ARN) -> str:
        """A presigned ws URL, as the session server makes it."""
        pair = self.runtime.settings.credentials
        query += f"&{SESSION}={session}" if session else ""
        request = AWSRequest(
            "GET", url=f"{self.runtime.url}/runtimes/{quote(arn, safe='')}/ws?{query}"
        )
        credentials = Credentials(pair.access_key_id, pair.secret_access_key)
        SigV4QueryAuth(credentials, "bedrock-agentcore", REGION, expires=300).add_auth(request)
        return request.url.replace("http", "ws", 1)

    def connect(
        self, session: str | None = None, url: str | None = None, **more: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return connect(url or self.url(session or new_session()), **more)

    async def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.events
            await asyncio.sleep(0.01)

    def sessions(self) -> list[str]:
        return [session.id for session in self.runtime.snapshot().sessions]


@asynccontextmanager
async def connect(url: str, **more: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        # encoded: yarl would decode %3A in the path and so change what was signed
        http.ws_connect(yarl.URL(url, encoded=True), max_msg_size=0, **more) as socket,
    ):
        yield socket


@asynccontextmanager
async def lab(folder: Path, mood: str = "", app: Path = APP, **settings: Any) -> AsyncIterator[Lab]:
    """A runtime over a copy of the test agent in `folder`, ready, all its processes gone after."""
    agent = folder / "agent"
    agent.mkdir(exist_ok=True)
    if not (agent / "app.py").exists():
        shutil.copy(app, agent / "app.py")
    events: list[RuntimeEvent] = []
    env = {**os.environ, "MOOD": mood, "HEARD": str(folder / "heard.jsonl")}
    spec = AgentSpec((sys.executable, "app.py"), agent, env)
    chosen = RuntimeSettings(
        **{"root": folder, "arn": ARN, "region": REGION, "port": free_port(), **settings}
    )
    async with LocalRuntime(chosen, lambda: spec, events.append) as runtime:
        yield Lab(runtime, folder, events)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody waits for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")

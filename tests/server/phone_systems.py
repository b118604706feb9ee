"""A provider, a generated server and the local runtime: all that a phone call passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.files import complete_lines
from tests.ports import free_port
from tests.server.serving import AUTHORIZED, UNLIMITED, RunningServer, make_server, serving
from tests.standins.phone import Provider
from tests.standins.runtime.runtime_lab import ARN, RuntimeLab, runtime_lab
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports.record import HEADERS
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.limits import MAX_LIFETIME
from voicecore.local.sessions.lifecycle import Lifecycle

SAMPLES = Path(__file__).parents[2] / "voicecore" / "samples"
AGENT = Path(__file__).parents[1] / "standins/server/phone_agent.py"
every_provider = pytest.mark.parametrize("name", PHONES)


@dataclass(frozen=True)
class ServerFiles:
    """A generated server for all five providers, and the port of its runtime."""

    folder: Path
    port: int
    root: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    root = tmp_path_factory.mktemp("server")
    return ServerFiles(make_server(root, ("telephony",), tuple(PHONES)), free_port(), root)


@dataclass
class PhoneSystem:
    """Providers, server and runtime of one test; `provider` is the one that it is about."""

    provider: Provider
    providers: dict[str, Provider]
    server: RunningServer
    lab: RuntimeLab
    root: Path

    def heard(self) -> list[tuple[int, Any]]:
        """Return what the agent received: connection number and frame (or number of bytes)."""
        lines = complete_lines(self.root / "heard.jsonl")
        return [(number, frame) for number, frame in map(json.loads, lines)]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in complete_lines(self.server.log)]
        return [line for line in lines if line["event"] == name]

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for `count` events of this name in the server's log, and return them."""
        await self.lab.until(lambda: len(self.events(event)) >= count)
        return self.events(event)

    async def ask(self, method: str, path: str, **body: str) -> tuple[int, Any]:
        """Return the answer of the server's own API."""
        async with (
            aiohttp.ClientSession(self.server.url, headers=AUTHORIZED) as http,
            http.request(method, f"/phone{path}", json=body or None) as answer,
        ):
            return answer.status, await answer.json() if answer.status != 204 else None


@asynccontextmanager
async def phone_system(
    files: ServerFiles, tmp_path: Path, name: str, time_scale: float = 1.0, /, **settings: str
) -> AsyncIterator[PhoneSystem]:
    """Run provider, server and runtime."""
    async with AsyncExitStack() as stack:
        providers = {p: await stack.enter_async_context(Provider(p)) for p in PHONES}
        variables = {k: v for p in providers.values() for k, v in p.variables.items()}
        pair = make_credentials()
        runtime = await stack.enter_async_context(
            runtime_lab(
                tmp_path,
                app=AGENT,
                port=files.port,
                credentials=pair,
                time_scale=time_scale,
                lifecycle=Lifecycle(idle_timeout=MAX_LIFETIME),  # no session ends as idle
                allowlist=check_allowlist(HEADERS),
            )
        )
        keys = {
            "AWS_ACCESS_KEY_ID": pair.access_key_id,
            "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
            "AGENT_RUNTIME_ARN": ARN,
        }
        log = tmp_path / "server.log"
        own = variables | keys | UNLIMITED | settings
        server = await asyncio.to_thread(
            stack.enter_context, serving(files.folder, log, runtime.runtime.url, **own)
        )
        yield PhoneSystem(providers[name], providers, server, runtime, tmp_path)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)

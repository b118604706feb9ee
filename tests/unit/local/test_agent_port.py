"""An agent that always listens on one port, which another program has."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.ports import free_port
from voicecore.local.processes.child import Reaper
from voicecore.local.sessions.agent_process import AgentCrashed, AgentHost, AgentProcess, AgentSpec


def test_port_of_the_agent_that_is_taken_is_named(tmp_path: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with Reaper() as reaper, aiohttp.ClientSession() as http:
            host = AgentHost(tmp_path, reaper, http, 1.0, lambda agent, lines: None)
            await AgentProcess.start(AgentSpec(("true",), tmp_path, {}, port=port), 1, host)

    with socket.create_server(("127.0.0.1", port)), pytest.raises(AgentCrashed) as error:
        asyncio.run(main())
    assert error.value.message.startswith(f"Port {port} is in use by another program")
    assert "$PORT" in (error.value.hint or "")
